// Incoming requests: a whole Check in process, of a token seen before and of a new one; through Envoy against its own
// jwt_authn on the same keys and tokens; and 1,000 callers with 10,000 tokens.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseConfig } from '../src/config/parse.ts';
import { createInboundDoor } from '../src/doors/inbound/inbound-door.ts';
import { createLasting } from '../src/inbound/lasting.ts';
import { systemClock } from '../src/lib/clock.ts';
import { nullObserver } from '../src/telemetry/observer.ts';
import { answeringListener } from '../test/support/answering-listener.ts';
import { type StartedEnvoy, startEnvoy } from '../test/support/envoy.ts';
import { inboundRequest, readInboundAnswer } from '../test/support/inbound-messages.ts';
import { type StartedProcess, startProcess } from '../test/support/process.ts';
import { createTestKey, jwkSet, signToken, type TestKey } from '../test/support/token-issuer.ts';
import { type Figure, figureOf, type Skipped } from './figure.ts';
import { hasWrk } from './load/wrk.ts';

const run = promisify(execFile);
const ROUNDS = 5;
const CACHED_TOKENS = 2_000;
const CACHED_CALLS = 100_000;
const COLD_TOKENS = 2_000;
const ISSUER = 'https://idp.example.com';

const INBOUND = `inbound:
  issuers:
    idp: { issuer: "${ISSUER}", jwks_file: jwks.json, audience: orders }
  policies:
    - { name: orders, match: { paths: [/v1/] }, scopes: [orders.read], forward: { x-user: sub } }
`;

export async function inbound(): Promise<readonly (Figure | Skipped)[]> {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-bench-'));
  const key = createTestKey('bench');
  writeFileSync(join(folder, 'jwks.json'), jwkSet(key));
  const told: (Figure | Skipped)[] = [];
  try {
    told.push(...(await inProcess(folder, key)));
    if (await hasWrk()) told.push(...(await throughEnvoy(folder, key)));
    else told.push({ skipped: 'inbound_vs_envoy_jwt_authn, inbound_success_rate', why: 'wrk is missing' });
    return told;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Processor time of this process, microseconds: the same whoever else uses the machine. */
function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** About 750 bytes, as an identity provider makes them. */
function createTokens(key: TestKey, count: number, mark: string): string[] {
  const now = Math.floor(Date.now() / 1_000);
  return Array.from({ length: count }, (_, i) =>
    signToken(key, {
      iss: ISSUER,
      aud: ['orders', 'payments'],
      sub: `user-${mark}-${i}`,
      client_id: `client-${i % 50}`,
      scope: 'openid profile orders.read orders.write',
      jti: `${mark}-${i}-${'0'.repeat(24)}`,
      sid: `session-${i}`,
      iat: now,
      exp: now + 3_600,
      realm_access: { roles: ['reader', 'writer'] },
    }),
  );
}

async function inProcess(folder: string, key: TestKey): Promise<Figure[]> {
  const file = join(folder, 'bearerd.yaml');
  const config = parseConfig(
    `version: 1\nlisten: { check_inbound: "unix://${folder}/in.sock" }\n${INBOUND}`,
    file,
  );
  const door = createInboundDoor(config, config.inbound!, {
    clock: systemClock,
    env: {},
    observer: nullObserver,
    random: Math.random,
    lasting: createLasting(systemClock),
  });
  door.start();
  while (door.missing().length > 0) await new Promise((resolve) => setImmediate(resolve));
  const call = { timeoutMs: 5_000, signal: new AbortController().signal };
  const messages = createTokens(key, CACHED_TOKENS, 'cached').map(messageOf);
  const ask = async (message: Uint8Array) => {
    const answer = readInboundAnswer(await door.check(message, call));
    if (answer.status !== 200 || !answer.set['x-user']) throw new Error(`answered ${answer.status}`);
  };
  for (const message of messages) await ask(message);
  const answers = messages.map((message) => door.check(message, call));

  const cached: number[] = [];
  const cold: number[] = [];
  for (let round = -1; round < ROUNDS; round++) {
    let begun = cpuUs();
    for (let i = 0; i < CACHED_CALLS; i++) {
      // The answer that was checked above, for each its own.
      if (door.check(messages[i % CACHED_TOKENS]!, call) !== answers[i % CACHED_TOKENS]) {
        throw new Error('another answer');
      }
    }
    if (round >= 0) cached.push((cpuUs() - begun) / CACHED_CALLS);
    const fresh = createTokens(key, COLD_TOKENS, `cold-${round}`).map(messageOf);
    begun = cpuUs();
    for (const message of fresh) await door.check(message, call);
    if (round >= 0) cold.push((cpuUs() - begun) / COLD_TOKENS);
    await ask(fresh[0]!);
  }
  door.stop();
  return [
    figureOf('inbound_cached_us', cached, 'us', '15 or less'),
    figureOf('inbound_cold_rs256_us', cold, 'us'),
  ];
}

function messageOf(token: string): Uint8Array {
  return inboundRequest({
    path: '/v1/orders?page=1',
    headers: { authorization: `Bearer ${token}` },
    extensions: { side: 'inbound' },
  });
}

const CALLERS = 32;
const SECONDS = 3;
const TOKENS_VS = 1_000;
const MANY_CALLERS = 1_000;
const MANY_TOKENS = 10_000;

async function throughEnvoy(folder: string, key: TestKey): Promise<Figure[]> {
  const file = join(folder, 'serve.yaml');
  const socket = join(folder, 'in.sock');
  writeFileSync(file, `version: 1\nlisten: { check_inbound: "unix://${socket}" }\n${INBOUND}`);
  let bearerd: StartedProcess | undefined;
  let envoy: StartedEnvoy | undefined;
  try {
    bearerd = await startProcess(process.execPath, [
      join(import.meta.dirname, '../bin/bearerd.js'),
      ...['serve', '--config', file],
    ]);
    await bearerd.waitForOutput(/"listener":"check_inbound","state":"listening"/);
    await bearerd.waitForOutput(/keys of idp/);
    envoy = await startEnvoy({ config: envoyConfig(socket, jwkSet(key)), concurrency: 1 });
    const ports = {
      ours: await envoy.listenerPort('ours'),
      jwt_authn: await envoy.listenerPort('jwt_authn'),
    };
    const script = wrkScript(folder, 'vs', createTokens(key, TOKENS_VS, 'vs'));
    const rates: Record<keyof typeof ports, number[]> = { ours: [], jwt_authn: [] };
    for (let round = -1; round < ROUNDS; round++) {
      for (const name of ['ours', 'jwt_authn'] as const) {
        const { perSecond } = await wrk(script, ports[name], CALLERS, round < 0 ? 1 : SECONDS);
        if (round >= 0) rates[name].push(perSecond);
      }
    }
    const many = wrkScript(folder, 'many', createTokens(key, MANY_TOKENS, 'many'));
    await wrk(many, ports.ours, MANY_CALLERS, 3);
    const crowd = await wrk(many, ports.ours, MANY_CALLERS, 10);
    const rss =
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${bearerd.pid}/status`, 'utf8'))![1]) / 1_024;
    return [
      figureOf('inbound_envoy_ours_requests', rates.ours, 'requests/s'),
      figureOf('inbound_envoy_jwt_authn_requests', rates.jwt_authn, 'requests/s'),
      figureOf(
        'inbound_vs_envoy_jwt_authn',
        rates.ours.map((rate, i) => rate / rates.jwt_authn[i]!),
        'ratio',
      ),
      { name: 'inbound_success_rate', value: crowd.successRate, unit: 'ratio', wanted: '1' },
      { name: 'inbound_crowd_p99', value: crowd.p99Ms, unit: 'ms', wanted: '200 or less' },
      { name: 'inbound_crowd_requests', value: crowd.perSecond, unit: 'requests/s' },
      { name: 'inbound_crowd_rss', value: rss, unit: 'MB' },
    ];
  } finally {
    await envoy?.stop();
    await bearerd?.stop();
  }
}

function wrkScript(folder: string, name: string, tokens: readonly string[]): string {
  const script = join(folder, `${name}.lua`);
  const data = join(folder, `${name}.txt`);
  writeFileSync(data, tokens.join('\n'));
  writeFileSync(
    script,
    `local made, next = {}, 0
init = function()
  for token in io.lines(${JSON.stringify(data)}) do
    made[#made + 1] = wrk.format("GET", "/v1/orders", { Host = "api.example.com", Authorization = "Bearer " .. token })
  end
end
request = function()
  next = next % #made + 1
  return made[next]
end
`,
  );
  return script;
}

async function wrk(script: string, port: number, connections: number, seconds: number) {
  const { stdout } = await run('wrk', [
    ...['-t', '1', '-c', String(connections), '-d', `${seconds}s`, '--latency', '-s', script],
    `http://127.0.0.1:${port}/`,
  ]);
  const [, p99, unit] = /99%\s+([\d.]+)(us|ms|s)/.exec(stdout)!;
  const requests = Number(/(\d+) requests in/.exec(stdout)![1]);
  const refused = Number(/Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? 0);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout) ?? [];
  const failed = refused + errors.slice(1).reduce((sum, n) => sum + Number(n), 0);
  return {
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)![1]),
    p99Ms: Number(p99) * { us: 0.001, ms: 1, s: 1_000 }[unit as 'us' | 'ms' | 's'],
    successRate: (requests - refused) / Math.max(1, requests + failed - refused),
  };
}

const FILTERS = 'type.googleapis.com/envoy.extensions.filters';

/** Two listeners that answer themselves behind the filter: bearerd's check, and Envoy's own JWT filter with its cache. */
function envoyConfig(socket: string, jwks: string): object {
  const filters = {
    ours: {
      name: 'envoy.filters.http.ext_authz',
      typed_config: {
        '@type': `${FILTERS}.http.ext_authz.v3.ExtAuthz`,
        transport_api_version: 'V3',
        grpc_service: { envoy_grpc: { cluster_name: 'bearerd' }, timeout: '4.3s' },
        allowed_headers: { patterns: [{ exact: 'authorization' }] },
        encode_raw_headers: true,
      },
    },
    jwt_authn: {
      name: 'envoy.filters.http.jwt_authn',
      typed_config: {
        '@type': `${FILTERS}.http.jwt_authn.v3.JwtAuthentication`,
        providers: {
          idp: {
            issuer: ISSUER,
            audiences: ['orders'],
            local_jwks: { inline_string: jwks },
            claim_to_headers: [{ header_name: 'x-user', claim_name: 'sub' }],
            jwt_cache_config: { jwt_cache_size: 20_000 },
          },
        },
        rules: [{ match: { prefix: '/' }, requires: { provider_name: 'idp' } }],
      },
    },
  };
  return {
    static_resources: {
      listeners: Object.entries(filters).map(([name, filter]) => answeringListener(name, [filter])),
      clusters: [
        {
          name: 'bearerd',
          connect_timeout: '1s',
          load_assignment: {
            cluster_name: 'bearerd',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: socket } } } }] }],
          },
          circuit_breakers: { thresholds: [{ max_requests: 65_536, max_pending_requests: 65_536 }] },
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
        },
      ],
    },
  };
}
