// bearerd simulate: what a new policy would change for the requests of an access log. Nothing is sent and nothing fetched.
import { printable } from '../lib/printable.ts';
import { compilePolicies } from '../policy/compile.ts';
import { type AskedRequest, outcomeOf, outcomeText } from '../policy/outcome.ts';
import { parseArguments, refusePositionals, required } from './arguments.ts';
import { BUNDLE_OPTION, loadBundledConfig } from './bundled-config.ts';
import type { Command } from './command.ts';
import { inputLines } from './input.ts';

/** Of each change so many requests are shown. */
const EXAMPLES = 3;

export const simulate: Command = {
  help: `Usage: bearerd simulate --policy NEW --log ACCESS_LOG [--config OLD] [--bundle BUNDLE]

Replays an access log of Envoy against a new configuration and tells what would change, with counts and examples. Paths are
shown without their query.

Options:
  --policy NEW       the configuration to try
  --config OLD       the one in force; without it everything that NEW decides is shown
  --log FILE         JSON lines, each with method, path and authority (or host, or ":authority"), as Envoy's and Istio's JSON
                     access logs have them; scheme where it is there, else http. "-" is standard input
${BUNDLE_OPTION}
Of a fleet, what another bundle would change: --policy LOCAL --bundle BUNDLE --config LOCAL. --bundle is for NEW.

Examples:
  bearerd simulate --policy new.yaml --config bearerd.yaml --log access.log
  kubectl logs checkout-0 -c istio-proxy | bearerd simulate --policy new.yaml --log -

Exit code 0 = read, 1 = a configuration or the log cannot be read.
`,
  async run(args, context) {
    const { out } = context;
    const parsed = parseArguments(args, ['policy', 'config', 'log', 'bundle']);
    refusePositionals(parsed);
    const file = required(parsed, 'log');
    const after = compilePolicies(
      await loadBundledConfig(required(parsed, 'policy'), parsed.flags['bundle'], context),
    );
    const old = parsed.flags['config'];
    const before =
      old === undefined ? undefined : compilePolicies(await loadBundledConfig(old, undefined, context));
    const changes = new Map<string, { count: number; readonly examples: Set<string> }>();
    const total = { requests: 0, same: 0, unreadable: 0 };
    let lines = 0;
    let firstUnreadable: number | undefined;
    for await (const line of inputLines(file)) {
      lines++;
      if (line.trim() === '') continue;
      const request = parseLogLine(line);
      if (request === undefined) {
        total.unreadable++;
        firstUnreadable ??= lines;
        continue;
      }
      total.requests++;
      const is = outcomeText(outcomeOf(after, request));
      const was = before === undefined ? undefined : outcomeText(outcomeOf(before, request));
      if (was === is) {
        total.same++;
        continue;
      }
      const what = was === undefined ? is : `${was} -> ${is}`;
      const change = changes.get(what) ?? { count: 0, examples: new Set<string>() };
      changes.set(what, change);
      change.count++;
      if (change.examples.size < EXAMPLES) change.examples.add(exampleText(request));
    }
    for (const [what, { count, examples }] of [...changes].sort(([, a], [, b]) => b.count - a.count)) {
      out(`${what}: ${count}\n`);
      for (const example of examples) out(`    ${example}\n`);
    }
    const same = before === undefined ? '' : `, ${total.same} decided as before`;
    const unreadable =
      firstUnreadable === undefined
        ? ''
        : `, ${total.unreadable} without method, authority and path (the first in line ${firstUnreadable})`;
    out(`${total.requests} requests${same}${unreadable}\n`);
    return total.requests === 0 && total.unreadable > 0 ? 1 : 0;
  },
};

/** undefined = the line tells no request. */
function parseLogLine(line: string): AskedRequest | undefined {
  let entry: Record<string, unknown> | null;
  try {
    entry = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof entry !== 'object' || entry === null) return undefined;
  const text = (...keys: string[]): string | undefined => {
    const key = keys.find((name) => typeof entry[name] === 'string' && entry[name] !== '-');
    return key === undefined ? undefined : (entry[key] as string);
  };
  const method = text('method', ':method', 'request_method');
  const host = text('authority', ':authority', 'host');
  const path = text('path', ':path', 'original_path');
  if (method === undefined || host === undefined || path === undefined) return undefined;
  return { method, host, path, scheme: text('scheme', ':scheme') ?? 'http' };
}

function exampleText({ method, scheme, host, path }: AskedRequest): string {
  return printable(`${method} ${scheme}://${host}${path.split('?', 1)[0]}`);
}
