// h2spec in strict mode against the production connection code: 146 of 146.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { hasGo } from '../../../tools/parts/go.ts';
import { h2specBinary } from '../../../tools/parts/h2spec.ts';
import { startHttp2Fixture } from '../../support/http2-fixture.ts';

const run = promisify(execFile);
const CASES = 146;

/** Cases that RFC 9113 decides otherwise, with the section that does. None. */
const ARGUED: ReadonlyMap<string, string> = new Map();

const withoutGo = (await hasGo()) ? false : 'h2spec needs Go to be built';

test('h2spec strict: every case passes', { skip: withoutGo }, async (t) => {
  const h2spec = await h2specBinary();
  const fixture = await startHttp2Fixture();
  const folder = await mkdtemp(join(tmpdir(), 'bearerd-h2spec-'));
  t.after(async () => {
    await fixture.stop();
    await rm(folder, { recursive: true, force: true });
  });
  const report = join(folder, 'report.xml');
  // A case that fails waits for its timeout of four seconds.
  await run(h2spec, ['-h', '127.0.0.1', '-p', String(fixture.port), '-S', '-o', '4', '-j', report], {
    timeout: 170_000,
    maxBuffer: 16 << 20,
  }).catch((error: { code?: unknown }) => {
    if (error.code !== 1) throw error; // 1 = a case failed, told below
  });
  const cases = [
    ...(await readFile(report, 'utf8')).matchAll(/<testcase ([^>]*?)(\/>|>([\s\S]*?)<\/testcase>)/g),
  ];
  const failed = cases
    .filter(([, , , content]) => content !== undefined && /<(failure|error|skipped)/.test(content))
    .map(([, attributes]) => `${attribute(attributes!, 'package')}: ${attribute(attributes!, 'classname')}`);
  t.diagnostic(`${cases.length - failed.length} of ${cases.length} cases passed`);
  assert.deepEqual(
    failed.filter((name) => !ARGUED.has(name)),
    [],
  );
  assert.equal(cases.length, CASES);
});

function attribute(attributes: string, name: string): string {
  return new RegExp(`${name}="([^"]*)"`).exec(attributes)?.[1] ?? '';
}
