// bearerd generate envoy: Envoy's side of a configuration.
import { writeFile } from 'node:fs/promises';
import { parseTcpOnly } from '../config/listen-address.ts';
import { readMapping } from '../config/load.ts';
import { generateEnvoy } from '../doors/generate/generate.ts';
import { generateInbound, type InboundTls } from '../doors/generate/inbound/inbound.ts';
import { GenerateError } from '../doors/generate/problems.ts';
import type { Upstream, Upstreams } from '../doors/generate/upstreams.ts';
import type { TcpAddress } from '../lib/address.ts';
import { oneOf, parseArguments, refusePositionals, required } from './arguments.ts';
import { BUNDLE_OPTION, loadBundledConfig } from './bundled-config.ts';
import { type Command, InputError, UsageError } from './command.ts';
import { STEPPED_BACK_OPTION, steppedBack } from './stepped-back.ts';
import { checkUpstreamTls } from './upstream-tls.ts';

export const generateEnvoyCommand: Command = {
  help: `Usage: bearerd generate envoy --config FILE --door check|push|attempt|both|best|inbound [options]

Writes the Envoy configuration for the policies of FILE: a whole bootstrap to try, or the pieces to paste into yours.

Options:
  --config FILE      configuration of bearerd
  --door DOOR        check (ext_authz, one call a request), push (SDS, no call), attempt (ext_proc, one call an
                     attempt), both: each policy by push where Envoy can decide alone, by check otherwise; or best: each
                     policy by the door that "bearerd explain" calls the best. inbound: the listener in front of the app
  --form FORM        bootstrap (default) or pieces
  --listen ADDRESS   where Envoy takes the requests of the app, default 127.0.0.1:10000; inbound: those for the app,
                     default 0.0.0.0:10001
  --app ADDRESS      inbound: where the app listens, default 127.0.0.1:8080
  --tls FILE         inbound: YAML { certificate, private_key, client_ca }, files as Envoy sees them. Default: plain
  --upstreams FILE   where hosts really are, YAML: HOST: { address, port, tls: { ca, cert, key, sni } }; the host "*" is
                     for requests without a policy. Default: each host by DNS, TLS outside the cluster
  --check-upstream FILE
                     where Envoy finds the Check listener when it has tls, YAML: { address, port, tls: { ca, cert, key,
                     sni } }, with the certificate that Envoy shows; bearerd's own has to be for sni, or for address
  --output FILE      default: standard output
${BUNDLE_OPTION}${STEPPED_BACK_OPTION}
Examples:
  bearerd generate envoy --config bearerd.yaml --door best --output envoy.yaml
  bearerd generate envoy --config bearerd.yaml --door inbound --app 127.0.0.1:8080

Exit code 0 = written, 1 = the door cannot serve something; each is named with the way out.
`,
  async run(args, context) {
    const { out, err } = context;
    const parsed = parseArguments(
      args,
      ['config', 'door', 'form', 'listen', 'app', 'tls', 'upstreams', 'check-upstream', 'output', 'bundle'],
      ['stepped-back'],
    );
    refusePositionals(parsed);
    const door = oneOf('door', required(parsed, 'door'), [
      'check',
      'push',
      'attempt',
      'both',
      'best',
      'inbound',
    ]);
    const form = oneOf('form', parsed.flags['form'] ?? 'bootstrap', ['bootstrap', 'pieces']);
    const listen = parseListen('listen', parsed.flags['listen']);
    const app = parseListen('app', parsed.flags['app']);
    const tls = await readInboundTls(parsed.flags['tls']);
    const file = required(parsed, 'config');
    const given = await loadBundledConfig(file, parsed.flags['bundle'], context);
    const config = parsed.switches.has('stepped-back') ? await steppedBack(given, file, context) : given;
    const upstreams = await readUpstreams(parsed.flags['upstreams']);
    const checkUpstream = await readCheckUpstream(parsed.flags['check-upstream']);
    let text: string;
    try {
      const common = { form, ...(listen ? { listen } : {}), ...(checkUpstream ? { checkUpstream } : {}) };
      text =
        door === 'inbound'
          ? generateInbound(config, { ...common, ...(app ? { app } : {}), ...(tls ? { tls } : {}) })
          : generateEnvoy(config, { ...common, door, upstreams });
    } catch (error) {
      if (!(error instanceof GenerateError)) throw error;
      err(error.problems.map((problem) => `${problem}\n`).join(''));
      return 1;
    }
    const output = parsed.flags['output'];
    if (output === undefined) out(text);
    else await writeFile(output, text);
    return 0;
  },
};

function parseListen(flag: string, text: string | undefined): TcpAddress | undefined {
  if (text === undefined) return undefined;
  try {
    return parseTcpOnly(text);
  } catch {
    throw new UsageError(`--${flag} takes ADDRESS:PORT, got "${text}"`);
  }
}

async function readUpstreams(file: string | undefined): Promise<Upstreams> {
  if (file === undefined) return {};
  const value = await readMapping(file, 'HOST: { address, port }');
  for (const [host, upstream] of Object.entries(value)) checkedUpstream(upstream, `${file}: ${host}`);
  return value as unknown as Upstreams;
}

async function readCheckUpstream(file: string | undefined): Promise<Upstream | undefined> {
  return file === undefined ? undefined : checkedUpstream(await readMapping(file, '{ address, port }'), file);
}

async function readInboundTls(file: string | undefined): Promise<InboundTls | undefined> {
  if (file === undefined) return undefined;
  const value = await readMapping(file, '{ certificate, private_key }');
  for (const key of ['certificate', 'private_key']) {
    if (typeof value[key] !== 'string') throw new InputError(`${file}: ${key}: expected a file`);
  }
  const unknown = Object.keys(value).find(
    (key) => !['certificate', 'private_key', 'client_ca'].includes(key),
  );
  if (unknown !== undefined) throw new InputError(`${file}: unknown key "${unknown}"`);
  return value as unknown as InboundTls;
}

/** Throws InputError; `at` is where it stands. */
function checkedUpstream(value: unknown, at: string): Upstream {
  const upstream = (value ?? {}) as Record<string, unknown>;
  if (typeof upstream['address'] !== 'string') throw new InputError(`${at}.address: expected a text`);
  const { port, tls } = upstream;
  if (!(Number.isInteger(port) && Number(port) > 0 && Number(port) < 65_536))
    throw new InputError(`${at}.port: expected a port from 1 to 65535`);
  const unknown = Object.keys(upstream).find((key) => !['address', 'port', 'tls'].includes(key));
  if (unknown !== undefined) throw new InputError(`${at}: unknown key "${unknown}"`);
  if (tls !== undefined) checkUpstreamTls(tls, `${at}.tls`);
  return value as Upstream;
}
