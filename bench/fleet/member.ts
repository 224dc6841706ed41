// One process of the fleet: node member.ts FOLDER APPS CHECKS_PER_SECOND, with a FleetPlaces as JSON in its environment.
// Each app is a createApp() of its own and is asked over its socket. Lines in: the name of a phase, or "end"; out: "ready",
// at the end the counts by phase.
import { connect } from 'node:http2';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt } from 'jose';
import { type App, createApp } from '../../src/app/app.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { parseRuntime } from '../../src/lib/runtime.ts';
import { injectedAuthorization } from '../load/answer.ts';
import { encodeCheckRequest } from '../world.ts';
import { AUDIENCES, fleetConfiguration, HOSTS } from './configuration.ts';

export interface PhaseCounts {
  sent: number;
  lost: number;
  /** Why, with how often. */
  reasons: Record<string, number>;
}

const [folder, apps, perSecond] = process.argv.slice(2) as [string, string, string];
const places = JSON.parse(process.env['FLEET']!);
const counts: Record<string, PhaseCounts> = {};
let phase = 'start';

const messages = HOSTS.map((host, i) => {
  const message = encodeCheckRequest(`p${i}`, host, '/v1/x', i);
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
});
const HEADERS = {
  ':method': 'POST',
  ':path': '/envoy.service.auth.v3.Authorization/Check',
  'content-type': 'application/grpc',
  te: 'trailers',
  // Envoy's default.
  'grpc-timeout': '200m',
};

async function startApp(i: number): Promise<{ readonly app: App; readonly socket: string }> {
  const socket = join(folder, `${process.pid}-${i}.sock`);
  const config = parseConfig(fleetConfiguration(places, socket), 'bearerd.yaml');
  const app = await createApp(config, {
    clock: systemClock,
    env: {},
    random: Math.random,
    log: { write: () => {} },
    version: 'fleet',
    runtime: parseRuntime({}, process.versions.node, true),
  });
  await app.start();
  return { app, socket };
}

/** Asks for all audiences in turn until the process ends. */
async function ask(socket: string): Promise<void> {
  const session = connect('http://bearerd', { createConnection: () => connectSocket(socket) });
  session.on('error', () => {});
  await sleep((Math.random() * 1_000) / Number(perSecond));
  for (let n = Math.floor(Math.random() * messages.length); ; n++) {
    const begun = performance.now();
    void check(session, n % messages.length);
    await sleep(Math.max(0, 1_000 / Number(perSecond) - (performance.now() - begun)));
  }
}

function check(session: ReturnType<typeof connect>, audience: number): Promise<void> {
  counts[phase] ??= { sent: 0, lost: 0, reasons: {} };
  const count = counts[phase]!;
  count.sent++;
  const lost = (reason: string) => {
    count.lost++;
    count.reasons[reason] = (count.reasons[reason] ?? 0) + 1;
  };
  return new Promise((resolve) => {
    const stream = session.request(HEADERS);
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => {});
    stream.setTimeout(5_000, () => stream.close());
    stream.on('close', () => {
      const fault = faultOf(Buffer.concat(chunks), audience);
      if (fault !== undefined) lost(fault);
      resolve();
    });
    stream.end(messages[audience]);
  });
}

/** undefined = the answer injects a token that lives, for this audience. */
function faultOf(data: Buffer, audience: number): string | undefined {
  if (data.length < 6) return 'no answer';
  const value = injectedAuthorization(data.subarray(5));
  if (value === undefined) return /[a-z]+_[a-z_]+/.exec(data.toString('latin1'))?.[0] ?? 'denied';
  const { aud, exp } = decodeJwt(value.replace('Bearer ', ''));
  if (aud !== AUDIENCES[audience]) return 'the token of another audience';
  return exp! * 1_000 > Date.now() ? undefined : 'an expired token';
}

const { connect: connectSocket } = await import('node:net');
const started = await Promise.all(Array.from({ length: Number(apps) }, (_, i) => startApp(i)));
while (started.some(({ app }) => app.store.missing().length > 0)) await sleep(50);
process.stdout.write('ready\n');
for (const { socket } of started) void ask(socket);

for await (const line of createInterface({ input: process.stdin })) {
  if (line !== 'end') {
    phase = line;
    continue;
  }
  // What was sent last is answered.
  await sleep(1_000);
  process.stdout.write(`counts ${JSON.stringify(counts)}\n`);
  process.exit(0);
}
