// bearerd test: a user's own expectations of a configuration, for their CI.
import { writeFile } from 'node:fs/promises';
import * as z from 'zod';
import { readConfigText } from '../config/load.ts';
import { shapeProblems } from '../config/problems.ts';
import { parseYaml } from '../config/yaml-document.ts';
import { ConfigError } from '../lib/errors.ts';
import { printable } from '../lib/printable.ts';
import { compilePolicies } from '../policy/compile.ts';
import { outcomeOf, outcomeText, parseAskedRequest } from '../policy/outcome.ts';
import { parseArguments, required } from './arguments.ts';
import { BUNDLE_OPTION, loadBundledConfig } from './bundled-config.ts';
import { type Command, UsageError } from './command.ts';
import { readInput } from './input.ts';

const request = z.string().transform((text, context) => {
  const asked = parseAskedRequest(text);
  if (asked !== undefined) return asked;
  context.issues.push({
    code: 'custom',
    message: 'expected METHOD URL, e.g. GET http://orders/v1/x',
    input: text,
  });
  return z.NEVER;
});

const casesFile = z.strictObject({
  cases: z
    .array(
      z.strictObject({
        name: z.string().min(1).optional(),
        request,
        expect: z
          .strictObject({
            decision: z.enum(['inject', 'pass', 'deny']).optional(),
            policy: z.string().nullable().optional().describe('null = no policy'),
            source: z.string().optional(),
            reason: z.enum(['unmatched', 'ambiguous_path', 'denied']).optional(),
          })
          .refine((expect) => Object.keys(expect).length > 0, {
            error: 'expected at least one of decision, policy, source and reason',
          }),
      }),
    )
    .min(1),
});

interface Result {
  readonly name: string;
  /** undefined = as expected. */
  readonly failure: string | undefined;
}

export const testCases: Command = {
  help: `Usage: bearerd test CASES --config FILE [--junit FILE] [--bundle BUNDLE]

Holds a configuration against a file of cases, for your CI:

  cases:
    - request: GET http://orders.prod/v1/items
      expect: { decision: inject, policy: orders }
    - name: nothing of ours goes to the health check
      request: GET http://orders.prod/healthz
      expect: { decision: pass, policy: null }

Each of decision (inject, pass, deny), policy, source and reason may be expected. CASES "-" is standard input.

Options:
  --config FILE      configuration of bearerd
  --junit FILE       writes the results as JUnit XML, too
${BUNDLE_OPTION}
Example:
  bearerd test cases.yaml --config bearerd.yaml --junit results.xml

Exit code 0 = all as expected, 1 = not.
`,
  async run(args, context) {
    const { out } = context;
    const parsed = parseArguments(args, ['config', 'junit', 'bundle']);
    const [file, ...rest] = parsed.positionals;
    if (file === undefined || rest.length > 0) throw new UsageError('expected one file of cases');
    const table = compilePolicies(
      await loadBundledConfig(required(parsed, 'config'), parsed.flags['bundle'], context),
    );
    const results = (await loadCases(file)).map(({ name, request, expect }): Result => {
      const outcome = outcomeOf(table, request);
      const wrong = Object.entries(expect).filter(
        ([key, wanted]) => (outcome[key as keyof typeof expect] ?? null) !== wanted,
      );
      return {
        name: printable(name ?? `${request.method} ${request.scheme}://${request.host}${request.path}`),
        failure:
          wrong.length === 0
            ? undefined
            : printable(
                `expected ${wrong.map(([key, wanted]) => `${key} ${wanted ?? 'none'}`).join(', ')}; got ${outcomeText(outcome)}`,
              ),
      };
    });
    for (const { name, failure } of results) {
      out(failure === undefined ? `ok      ${name}\n` : `FAILED  ${name}\n        ${failure}\n`);
    }
    const failed = results.filter(({ failure }) => failure !== undefined).length;
    out(`${results.length - failed} passed, ${failed} failed\n`);
    const junit = parsed.flags['junit'];
    if (junit !== undefined) await writeFile(junit, junitXml(file, results));
    return failed === 0 ? 0 : 1;
  },
};

async function loadCases(path: string): Promise<z.output<typeof casesFile>['cases']> {
  const text = await (path === '-' ? readInput(path) : readConfigText(path));
  const document = parseYaml(text, path);
  const result = casesFile.safeParse(document.value);
  if (!result.success) throw new ConfigError(path, shapeProblems(document, result.error.issues, casesFile));
  return result.data.cases;
}

function junitXml(suite: string, results: readonly Result[]): string {
  const failures = results.filter(({ failure }) => failure !== undefined).length;
  const cases = results.map(({ name, failure }) =>
    failure === undefined
      ? `  <testcase classname="bearerd" name="${xml(name)}"/>`
      : `  <testcase classname="bearerd" name="${xml(name)}"><failure message="${xml(failure)}"/></testcase>`,
  );
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="${xml(suite)}" tests="${results.length}" failures="${failures}">`,
    ...cases,
    '</testsuite>',
    '',
  ].join('\n');
}

function xml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
  };
  // XML 1.0 has no way to write control characters.
  return printable(text).replace(/[&<>"]/g, (c) => entities[c]!);
}
