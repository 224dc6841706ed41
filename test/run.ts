// Runs the test heights one after the other and ends with one line: "N passed, N failed, N skipped".
//   node test/run.ts [unit|integration|e2e|kubernetes|full ...] [--grep PATTERN]
import { existsSync, globSync } from 'node:fs';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { grep: { type: 'string' } },
});

interface Height {
  readonly files: string;
  /** Of `files`: one at a time, after the others. */
  readonly alone?: readonly string[];
  readonly concurrency: number;
  /** For a file that hangs: the first run also fetches and builds what the tests need. */
  readonly timeoutMs: number;
}

const heights: Record<string, Height> = {
  unit: { files: 'test/unit/**/*.test.ts', concurrency: 2, timeoutMs: 300_000 },
  // Most of them wait for a timer or another process most of the time.
  integration: { files: 'test/integration/**/*.test.ts', concurrency: 3, timeoutMs: 900_000 },
  e2e: {
    files: 'test/e2e/**/*.test.ts',
    // Those that keep up a load, or hold real Envoys to deadlines that a neighbour would take the time for.
    alone: [
      'test/e2e/{attempt,attempt-users,cancelled,clock,guard,healing,outage,proof,provider-faults,reload,restart,soak}.test.ts',
    ],
    concurrency: 3,
    timeoutMs: 900_000,
  },
  // A real Kubernetes API and a real istiod, where npm run parts:kubernetes built them.
  kubernetes: { files: 'test/kubernetes/**/*.test.ts', concurrency: 1, timeoutMs: 600_000 },
  // What does not fit into every run: long soaks and many versions.
  full: { files: 'test/full/**/*.test.ts', concurrency: 1, timeoutMs: 2_400_000 },
};

const chosen = positionals.length > 0 ? positionals : ['unit', 'integration', 'e2e'];
const totals = { passed: 0, failed: 0, skipped: 0 };
const skippedNames: string[] = [];
const failedNames: string[] = [];

if (!existsSync('dist/main.js')) throw new Error('dist/ is missing: run "npm run build" first');

for (const name of chosen) {
  const height = heights[name];
  if (!height) throw new Error(`unknown height "${name}": one of ${Object.keys(heights).join(', ')}`);
  const { files, alone = [], concurrency, timeoutMs } = height;
  const beside = globSync(files, { exclude: alone }).sort();
  const byThemselves = globSync(alone).sort();
  process.stdout.write(`\n== ${name}: ${beside.length + byThemselves.length} files\n`);
  const started = performance.now();
  await runFiles(beside, concurrency, timeoutMs);
  await runFiles(byThemselves, 1, timeoutMs);
  process.stdout.write(`== ${name}: ${Math.round((performance.now() - started) / 1000)} s\n`);
}

function runFiles(files: readonly string[], concurrency: number, timeout: number): Promise<void> {
  return new Promise((resolve, reject) => {
    if (files.length === 0) return resolve();
    const stream = run({
      ...{ files, concurrency, timeout },
      ...(values.grep === undefined ? {} : { testNamePatterns: [values.grep] }),
    });
    stream.on('test:pass', (event) => {
      if (event.details.type === 'suite') return;
      if (event.skip !== undefined) {
        totals.skipped++;
        skippedNames.push(`${event.name}${typeof event.skip === 'string' ? `: ${event.skip}` : ''}`);
      } else {
        totals.passed++;
      }
    });
    stream.on('test:fail', (event) => {
      // A suite fails because a test in it failed; that test is counted by itself.
      if (event.details.type === 'suite' && event.details.error.cause !== undefined) return;
      totals.failed++;
      failedNames.push(`${event.name} (${event.file ?? 'no file'})`);
    });
    stream.on('error', reject);
    const report = stream.compose(spec);
    report.on('end', resolve);
    report.pipe(process.stdout, { end: false });
  });
}

for (const name of skippedNames) process.stdout.write(`skipped: ${name}\n`);
for (const name of failedNames) process.stdout.write(`failed: ${name}\n`);
process.stdout.write(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped\n`);
process.exitCode = totals.failed > 0 || totals.passed === 0 ? 1 : 0;
