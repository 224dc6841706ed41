// bearerd doctor: what is wrong between a running Envoy, a running bearerd and a configuration.
import { request } from 'node:http';
import { connect } from 'node:net';
import { guardFindings } from '../app/guard/findings.ts';
import type { GuardStatus } from '../app/guard/rollout-guard.ts';
import type { Config } from '../config/config.ts';
import { readEnvoyState } from '../doors/doctor/envoy-state.ts';
import type { Finding } from '../doors/doctor/finding.ts';
import { findings } from '../doors/doctor/findings.ts';
import { uncapturedHosts } from '../doors/generate/istio/uncaptured.ts';
import { parseArguments, refusePositionals, required } from './arguments.ts';
import { BUNDLE_OPTION, loadBundledConfig } from './bundled-config.ts';
import { type Command, UsageError } from './command.ts';

const TIMEOUT_MS = 5_000;

export const doctor: Command = {
  help: `Usage: bearerd doctor --config FILE [--envoy URL]

Looks at the Envoy beside it by its admin interface, and at the running bearerd by its admin socket, and tells what is wrong,
each with the way out: filters, timeouts, retries, circuit breakers, secrets that have not come, sockets, rewrites, logs that
would print a credential, clusters that one leaves by without TLS, sources without a credential.

Options:
  --config FILE   configuration of bearerd
  --envoy URL     admin interface of Envoy, default http://127.0.0.1:15000 (Istio's; a bootstrap of bearerd has 9901)
${BUNDLE_OPTION}
Exit code 0 = nothing is wrong, 1 = something is, or Envoy cannot be asked. Warnings alone are 0.
`,
  async run(args, context) {
    const { out, err } = context;
    const parsed = parseArguments(args, ['config', 'envoy', 'bundle']);
    refusePositionals(parsed);
    const config = await loadBundledConfig(required(parsed, 'config'), parsed.flags['bundle'], context);
    const url = parsed.flags['envoy'] ?? 'http://127.0.0.1:15000';
    if (!URL.canParse(url)) throw new UsageError(`--envoy takes a URL, got "${url}"`);
    let found: Finding[];
    try {
      const [info, dump, stats] = await Promise.all([
        ask(new URL('/server_info', url)),
        ask(new URL('/config_dump', url)),
        ask(new URL('/stats?format=json&filter=bearerd_', url)),
      ]);
      found = [
        ...findings(config, readEnvoyState(info, dump, stats)),
        ...(await bearerdFindings(config)),
        ...(await statusPage(config)),
      ];
    } catch (error) {
      err(
        `bearerd doctor: ${url} cannot be asked: ${(error as Error).message}; --envoy names Envoy's admin interface\n`,
      );
      return 1;
    }
    for (const { severity, what, fix } of found) out(`${severity.padEnd(8)}${what}\n        -> ${fix}\n`);
    const errors = found.filter(({ severity }) => severity === 'error').length;
    out(found.length === 0 ? 'nothing is wrong\n' : `${errors} errors, ${found.length - errors} warnings\n`);
    return errors > 0 ? 1 : 0;
  },
};

async function bearerdFindings(config: Config): Promise<Finding[]> {
  const { listen } = config;
  if (listen.admin === undefined) return [];
  let status: {
    sources: { source: string; generation?: number; lastFailure?: string; required: boolean }[];
    configuration: { refused?: string };
    guard: GuardStatus[];
  };
  try {
    status = (await ask(new URL('http://bearerd/status'), listen.admin.path)) as typeof status;
  } catch (error) {
    return [
      {
        severity: 'error',
        what: `bearerd does not answer on ${listen.admin.path}: ${(error as Error).message}`,
        fix: 'is it running, and may this user open the socket?',
      },
    ];
  }
  const without = status.sources
    .filter(({ generation, lastFailure }) => generation === undefined && lastFailure !== undefined)
    .map(
      ({ source, lastFailure }): Finding => ({
        severity: 'error',
        what: `source ${source} has no credential: ${lastFailure}`,
        fix: 'the log line "no new credential" of bearerd says why',
      }),
    );
  const inMesh = uncapturedHosts(config);
  if (without.length > 0 && inMesh.length > 0) {
    without.push({
      severity: 'warning',
      what: `bearerd asks ${inMesh.join(', ')} inside the mesh, and its traffic is not captured: STRICT mTLS refuses it`,
      fix: 'a PeerAuthentication with portLevelMtls PERMISSIVE for that workload and port; "bearerd generate istio" names it',
    });
  }
  const guarded = status.guard.flatMap((one) =>
    guardFindings(one).map(
      ({ what, fix }): Finding => ({ severity: 'warning', what: `policy ${one.policy}: ${what}`, fix }),
    ),
  );
  const { refused } = status.configuration;
  if (refused === undefined) return [...without, ...guarded];
  return [
    ...without,
    ...guarded,
    {
      severity: 'error',
      what: `the last configuration was not taken over: ${refused}`,
      fix: 'bearerd check-config FILE',
    },
  ];
}

/** Whether somebody listens: what it shows is for who has the token or a certificate. */
async function statusPage({ listen: { status } }: Config): Promise<Finding[]> {
  if (status === undefined) return [];
  const { host, port } = status.listener;
  const here = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const failure = await new Promise<string | undefined>((resolve) => {
    const socket = connect({ host: here, port, timeout: TIMEOUT_MS });
    const end = (why?: string): void => {
      socket.destroy();
      resolve(why);
    };
    socket.once('connect', () => end());
    socket.once('timeout', () => end(`no answer within ${TIMEOUT_MS} ms`));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
  if (failure === undefined) return [];
  return [
    {
      severity: 'warning',
      what: `the status page does not answer on ${host}:${port}: ${failure}`,
      fix: 'was bearerd started with this listen.status? A reload opens no new port',
    },
  ];
}

/** JSON over HTTP, by a Unix socket where one is given. */
function ask(url: URL, socketPath?: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      { timeout: TIMEOUT_MS, ...(socketPath === undefined ? {} : { socketPath }) },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => {
          try {
            resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')));
          } catch {
            reject(new Error(`${url.pathname} is no JSON (status ${answer.statusCode})`));
          }
        });
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    outgoing.on('error', (error: NodeJS.ErrnoException) => reject(new Error(error.code ?? error.message)));
    outgoing.end();
  });
}
