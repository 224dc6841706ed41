// bearerd doctor: what is wrong between a running Envoy, a running bearerd and a configuration.
import type { RequestOptions } from 'node:http';
import { connect } from 'node:net';
import { guardFindings } from '../app/guard/findings.ts';
import type { GuardStatus } from '../app/guard/rollout-guard.ts';
import type { Config } from '../config/config.ts';
import { readEnvoyState } from '../doors/doctor/envoy-state.ts';
import type { Finding } from '../doors/doctor/finding.ts';
import { findings } from '../doors/doctor/findings.ts';
import { type Json, json, list } from '../doors/envoy-json.ts';
import { uncapturedHosts } from '../doors/generate/istio/uncaptured.ts';
import { askJson } from '../lib/ask-json.ts';
import { printable } from '../lib/printable.ts';
import { parseArguments, refusePositionals, required } from './arguments.ts';
import { BUNDLE_OPTION, loadBundledConfig } from './bundled-config.ts';
import { type Command, UsageError } from './command.ts';
import { MAX_DUMP_BYTES } from './input.ts';

/** Of a mesh with thousands of services a dump takes some seconds. */
const TIMEOUT_MS = 15_000;

export const doctor: Command = {
  help: `Usage: bearerd doctor --config FILE [--envoy URL]

Looks at the Envoy beside it by its admin interface, and at the running bearerd by its admin socket, and tells what is wrong,
each with the way out: filters, timeouts, retries, circuit breakers, secrets that have not come, sockets, rewrites, logs that
would print a credential, clusters that one leaves by without TLS or to whoever answers, sources without a credential.

Options:
  --config FILE      configuration of bearerd
  --envoy URL        admin interface of Envoy, default http://127.0.0.1:15000 (Istio's; a bootstrap of bearerd has 9901)
${BUNDLE_OPTION}
Example:
  bearerd doctor --config bearerd.yaml --envoy http://127.0.0.1:9901

Exit code 0 = nothing is wrong, 1 = something is, or Envoy cannot be asked. Warnings alone are 0.
`,
  async run(args, context) {
    const { out, err } = context;
    const parsed = parseArguments(args, ['config', 'envoy', 'bundle']);
    refusePositionals(parsed);
    const config = await loadBundledConfig(required(parsed, 'config'), parsed.flags['bundle'], context);
    const url = parsed.flags['envoy'] ?? 'http://127.0.0.1:15000';
    if (!URL.canParse(url) || new URL(url).protocol !== 'http:')
      throw new UsageError('--envoy takes a URL, e.g. http://127.0.0.1:9901');
    const { origin, hostname, port } = new URL(url);
    const envoy = { host: hostname.replace(/^\[|\]$/g, ''), port: port || 80 };
    let found: Finding[];
    try {
      const [info, dump, stats] = await Promise.all([
        ask('/server_info', envoy),
        ask('/config_dump?include_eds', envoy),
        ask('/stats?format=json&filter=bearerd_', envoy),
      ]);
      found = [
        ...findings(config, readEnvoyState(info, dump, stats)),
        ...(await bearerdFindings(config)),
        ...(await statusPage(config)),
      ];
    } catch (error) {
      err(
        `bearerd doctor: ${origin} cannot be asked: ${faultOf(error)}; --envoy names Envoy's admin interface\n`,
      );
      return 1;
    }
    for (const { severity, what, fix } of found)
      out(`${severity.padEnd(8)}${printable(what)}\n        -> ${printable(fix)}\n`);
    const errors = found.filter(({ severity }) => severity === 'error').length;
    out(found.length === 0 ? 'nothing is wrong\n' : `${errors} errors, ${found.length - errors} warnings\n`);
    return errors > 0 ? 1 : 0;
  },
};

/** By what a finding of a running bearerd is about, and says. */
const FIXES: readonly (readonly [finding: RegExp, fix: string])[] = [
  [
    / was refused by an upstream/,
    'compare "bearerd inspect" of such a token with what the upstream expects (docs/runbooks.md)',
  ],
  [/^source /, 'the log line "no new credential" of bearerd says why'],
  [/^configuration: /, 'bearerd check-config FILE'],
  [/^certificate /, 'a new one in its files is taken over by itself'],
  [/./, '"bearerd status" has more, docs/runbooks.md what to do'],
];

/** What it says of itself (GET /status), without what mends itself. */
async function bearerdFindings(config: Config): Promise<Finding[]> {
  const { admin } = config.listen;
  if (admin === undefined) {
    return [
      {
        severity: 'warning',
        what: 'the configuration has no listen.admin: whether bearerd runs and has its credentials was not asked',
        fix: 'listen.admin: unix:///run/bearerd/admin.sock',
      },
    ];
  }
  let status: Json;
  try {
    status = json(await ask('/status', { socketPath: admin.path }));
  } catch (error) {
    return [
      {
        severity: 'error',
        what: `bearerd does not answer on ${admin.path}: ${faultOf(error)}`,
        fix: 'is it running, and may this user open the socket?',
      },
    ];
  }
  const found = list(status['findings'])
    .map(json)
    .flatMap(({ severity, about, text }): Finding[] => {
      // The guard's are below, each with its own way out.
      if (severity === 'note' || String(text).startsWith('guard: ')) return [];
      const kind = FIXES.find(([kind]) => kind.test(`${about}: ${text}`))!;
      // What is refused comes into force by nobody.
      const isError = severity === 'critical' || about === 'configuration';
      return [{ severity: isError ? 'error' : 'warning', what: `${about}: ${text}`, fix: kind[1] }];
    });
  const inMesh = uncapturedHosts(config);
  if (inMesh.length > 0 && list(status['sources']).some((one) => json(one)['lastFailure'] !== undefined)) {
    found.push({
      severity: 'warning',
      what: `bearerd asks ${inMesh.join(', ')} inside the mesh, and its traffic is not captured: STRICT mTLS refuses it`,
      fix: 'a PeerAuthentication with portLevelMtls PERMISSIVE for that workload and port; "bearerd generate istio" names it',
    });
  }
  for (const one of list(status['guard']) as readonly GuardStatus[]) {
    for (const { what, fix } of guardFindings(one))
      found.push({ severity: 'warning', what: `policy ${one.policy}: ${what}`, fix });
  }
  return found;
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

function ask(path: string, where: RequestOptions): Promise<unknown> {
  return askJson({ ...where, path }, { timeoutMs: TIMEOUT_MS, maxBytes: MAX_DUMP_BYTES });
}

function faultOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
}
