// Holds the structure to its rules: imports point one way, some libraries live in one place, and ARCHITECTURE.md's tree
// is the tree of src/. A failure names the rule and its reason.
import assert from 'node:assert/strict';
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';

const files = globSync('src/**/*.ts').filter((f) => !f.startsWith('src/gen/'));

interface Import {
  readonly from: string;
  readonly specifier: string;
  readonly typeOnly: boolean;
}

const imports: Import[] = files.flatMap((from) =>
  [
    ...readFileSync(from, 'utf8').matchAll(
      /^(import|export)(\s+type)?\b[^'";]*?from\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm,
    ),
  ].map((m) => ({ from, specifier: (m[3] ?? m[4] ?? m[5])!, typeOnly: m[2] !== undefined })),
);

/** First folder below src/, or the file itself for the two roots. */
const area = (file: string) => {
  const [first, ...rest] = relative('src', file).split('/');
  return rest.length === 0 ? first!.replace('.ts', '') : first!;
};

// Anything not listed is forbidden. Only app sees both the hot and the slow arm.
const mayImport: Record<string, readonly string[]> = {
  main: ['cli', 'lib'],
  cli: [
    'app',
    'inbound',
    'shared-cache',
    'bundle',
    'config',
    'doors',
    'key-ring',
    'policy',
    'lib',
    'telemetry',
    'kubernetes',
    'server',
    'source',
  ],
  app: [
    'bundle',
    'config',
    'proof',
    'doors',
    'policy',
    'credential',
    'source',
    'shared-cache',
    'inbound',
    'server',
    'telemetry',
    'lib',
    'http2',
  ],
  doors: ['policy', 'credential', 'proof', 'inbound', 'gen', 'lib', 'server'],
  policy: ['lib', 'credential'],
  credential: ['lib'],
  source: ['credential', 'key-ring', 'provider-http', 'workload-api', 'lib'],
  'workload-api': ['gen', 'lib'],
  'key-ring': ['lib'],
  'shared-cache': ['credential', 'lib'],
  inbound: ['provider-http', 'lib'],
  bundle: ['inbound', 'provider-http', 'lib'],
  'provider-http': ['lib'],
  proof: ['lib'],
  server: ['http2', 'lib'],
  telemetry: ['lib'],
  config: ['lib', 'policy'],
  kubernetes: ['config', 'lib'],
  http2: ['lib'],
  lib: [],
};
// Types of these may be had by everyone: they are the words that the parts share.
const sharedTypes = [
  'src/config/config.ts',
  'src/config/inbound/config.ts',
  'src/config/source/secret-ref.ts',
  'src/telemetry/event-details.ts',
  'src/telemetry/observer.ts',
  'src/server/front.ts',
];

test('imports point one way, so that the hot arm never sees the slow one', () => {
  const broken: string[] = [];
  for (const { from, specifier, typeOnly } of imports) {
    if (!specifier.startsWith('.')) continue;
    const target = join(dirname(from), specifier);
    if (typeOnly && sharedTypes.includes(target)) continue;
    const [a, b] = [area(from), area(target)];
    if (a !== b && !mayImport[a]?.includes(b))
      broken.push(`${from} imports ${target}: ${a} may import ${mayImport[a]}`);
  }
  assert.deepEqual(broken, []);
});

const onlyIn: readonly { what: RegExp; where: RegExp; why: string }[] = [
  {
    what: /^@grpc\/grpc-js/,
    where: /^src\/workload-api\//,
    why: 'Envoy is served by our own HTTP/2, and sources are functions of answers',
  },
  { what: /^jose$/, where: /^src\/(source|inbound|bundle)\//, why: 'tokens are read where they come in' },
  {
    what: /^lru-cache$/,
    where: /^src\/(credential\/cache|inbound\/verified-tokens)\.ts$/,
    why: 'one bounded cache, one place for its bound',
  },
  { what: /^pino$/, where: /^src\/telemetry\//, why: 'everything else tells the observer' },
  {
    what: /^@opentelemetry\//,
    where: /^src\/telemetry\/tracing\.ts$/,
    why: 'the rest knows spans of lib/trace.ts',
  },
  { what: /^prom-client$/, where: /^src\/telemetry\//, why: 'everything else tells the observer' },
  { what: /^oauth4webapi/, where: /^src\/source\//, why: 'only the slow arm gets tokens' },
  { what: /^undici/, where: /^src\/provider-http\//, why: 'one client with one set of bounds' },
  {
    what: /^@redis\/client/,
    where: /^src\/shared-cache\/redis-client\.ts$/,
    why: 'the rest knows scripts and answers',
  },
  { what: /^@grpc\/proto-loader/, where: /^$/, why: 'parsing .proto files at run time costs 16 MB' },
];

test('some libraries live in one place', () => {
  const broken = imports.flatMap(({ from, specifier, typeOnly }) =>
    onlyIn
      .filter((rule) => !typeOnly && rule.what.test(specifier) && !rule.where.test(from))
      .map((rule) => `${from} imports ${specifier}: only in ${rule.where.source} (${rule.why})`),
  );
  assert.deepEqual(broken, []);
});

const onlyText: readonly { what: RegExp; where: RegExp; why: string }[] = [
  { what: /process\.env/, where: /^src\/main\.ts$/, why: 'the environment is handed on as a plain map' },
  { what: /Date\.now\(|performance\.now\(/, where: /^src\/lib\/clock\.ts$/, why: 'tests move time' },
  { what: /process\.exit\b|process\.on\(/, where: /^src\/main\.ts$/, why: 'one place ends the process' },
];

test('the environment, the clock and the end of the process are touched in one place each', () => {
  const broken = files.flatMap((file) => {
    const code = readFileSync(file, 'utf8').replace(/\/\/.*|\/\*[\s\S]*?\*\//g, '');
    return onlyText
      .filter((rule) => rule.what.test(code) && !rule.where.test(file))
      .map((rule) => `${file} has ${rule.what.source}: only in ${rule.where.source} (${rule.why})`);
  });
  assert.deepEqual(broken, []);
});

test('the tree in ARCHITECTURE.md is the tree of src/', () => {
  const tree = /```text\nsrc\/\n([\s\S]*?)```/.exec(readFileSync('ARCHITECTURE.md', 'utf8'))?.[1];
  assert.ok(tree, 'ARCHITECTURE.md has no tree that starts with src/');
  const told = [...tree.matchAll(/^ {2}([\w.-]+)\/?\s/gm)].map((m) => m[1]!).sort();
  const real = readdirSync('src').sort();
  assert.deepEqual(told, real);
});
