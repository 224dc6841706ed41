// The inbound door in this process, with real files and a clock that a test may set.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildSources } from '../../src/app/sources.ts';
import type { Config } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { type ChangeableStore, createCredentialStore } from '../../src/credential/store.ts';
import { createInboundDoor, type InboundDoor } from '../../src/doors/inbound/inbound-door.ts';
import { createLasting } from '../../src/inbound/lasting.ts';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { createEndpoints } from '../../src/source/endpoint/endpoints.ts';
import { nullObserver, type Observer } from '../../src/telemetry/observer.ts';
import { createTeeObserver } from '../../src/telemetry/tee-observer.ts';
import {
  type InboundAnswer,
  type InboundSketch,
  inboundRequest,
  readInboundAnswer,
} from './inbound-messages.ts';
import { createRecordingObserver, type RecordingObserver } from './recording-observer.ts';
import { createTestKey, jwkSet, signToken, type TestKey } from './token-issuer.ts';

export const ISSUER = 'https://idp.example.com';
export const AUDIENCE = 'orders';

export interface InboundWorld {
  readonly folder: string;
  readonly door: InboundDoor;
  readonly key: TestKey;
  readonly told: RecordingObserver;
  /** Added to the wall clock, milliseconds. */
  clockOffsetMs: number;
  write(file: string, text: string): void;
  /** A good token with other claims or header. */
  token(claims?: Readonly<Record<string, unknown>>, header?: Readonly<Record<string, unknown>>): string;
  ask(sketch: InboundSketch, timeoutMs?: number): Promise<InboundAnswer>;
  /** GET / with this token. */
  bearer(token: string, sketch?: InboundSketch): Promise<InboundAnswer>;
  /** Reasons of refusals so far. */
  reasons(): string[];
  ready(): Promise<void>;
}

const DEFAULT_INBOUND = `
  issuers:
    idp: { issuer: "${ISSUER}", jwks_file: jwks.json, audience: ${AUDIENCE} }
  policies:
    - { name: api, match: {}, forward: { x-user: sub } }
`;

/** `inbound`: YAML below `inbound:`, indented by two; `settings` beside it. Files lie in the world's folder. */
export async function startInbound(
  t: TestContext,
  inbound = DEFAULT_INBOUND,
  files: Readonly<Record<string, string>> = {},
  { waitForKeys = true, settings = '', audit = nullObserver } = {},
): Promise<InboundWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-inbound-'));
  const key = createTestKey('one');
  const write = (file: string, text: string) => writeFileSync(join(folder, file), text);
  write('jwks.json', jwkSet(key));
  for (const [file, text] of Object.entries(files)) write(file, text);
  const config = parseConfig(
    `version: 1\nmode: development\nlisten: { check_inbound: "unix://${folder}/in.sock" }\n${settings}inbound:${inbound}`,
    join(folder, 'bearerd.yaml'),
  );
  const told = createRecordingObserver();
  const world = { clockOffsetMs: 0 };
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + world.clockOffsetMs };
  const door = createInboundDoor(config, config.inbound!, {
    clock,
    env: {},
    observer: createTeeObserver(audit, told.observer),
    random: Math.random,
    lasting: createLasting(clock),
  });
  const store = await createStore(config, clock, told.observer);
  store.start();
  door.use(store.inForce());
  t.after(async () => {
    door.stop();
    await store.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  door.start();

  const ask = async (sketch: InboundSketch, timeoutMs = 2_000) =>
    readInboundAnswer(
      await door.check(inboundRequest(sketch), { timeoutMs, signal: new AbortController().signal }),
    );
  const made: InboundWorld = Object.assign(world, {
    folder,
    door,
    key,
    told,
    write,
    token: (claims: Readonly<Record<string, unknown>> = {}, header = {}) =>
      signToken(key, { ...goodClaims(), ...claims }, header),
    ask,
    bearer: (token: string, sketch: InboundSketch = {}) =>
      ask({ ...sketch, headers: { ...sketch.headers, authorization: `Bearer ${token}` } }),
    reasons: () => told.named('inboundRefused').map(([, reason]) => reason as string),
    async ready() {
      while (door.missing().length > 0) await sleep(5);
    },
  });
  if (waitForKeys) await made.ready();
  return made;
}

/** For policies that exchange tokens. */
async function createStore(config: Config, clock: Clock, observer: Observer): Promise<ChangeableStore> {
  const { limits } = config;
  const random = Math.random;
  const { refreshesPerHour } = limits;
  const { stored } = await buildSources(config.sources, {
    ...{ clock, env: {}, observer, tracer: undefined, sharedRecord: undefined },
    endpoints: createEndpoints({ clock, random, observer, refreshesPerHour }),
    around: (source) => source,
  });
  return createCredentialStore({ sources: stored, clock, observer, random, ...limits });
}

export function goodClaims(): Readonly<Record<string, unknown>> {
  const now = Math.floor(Date.now() / 1_000);
  return { iss: ISSUER, aud: AUDIENCE, sub: 'alice', client_id: 'shop', iat: now, exp: now + 300 };
}
