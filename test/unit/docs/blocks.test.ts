// Every fenced block that is a configuration passes check-config, whole or completed; every other one is known to
// test/integration/docs/blocks.test.ts, which runs it.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bearerd } from '../../support/command-line.ts';
import { docBlocks } from '../../support/doc-blocks.ts';
import { completed, isConfiguration } from '../../support/doc-frame.ts';

const ROWS_FILE = 'test/integration/docs/blocks.test.ts';
const rows = readFileSync(ROWS_FILE, 'utf8');

for (const block of docBlocks()) {
  const { document, line, language, heading, key, text } = block;
  const title = `${document}:${line}: ${language} below "${heading}"`;
  if (!isConfiguration(block)) {
    test(`${title} is run, or it is said why not`, () => {
      assert.ok(
        rows.includes(`'${key}'`) || rows.includes(`"${key}"`),
        `write a row '${key}' in ${ROWS_FILE}`,
      );
    });
    continue;
  }
  test(`${title} is a configuration`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'bearerd-docs-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, 'bearerd.yaml');
    writeFileSync(file, completed(text));
    const { code, all } = await bearerd('check-config', file);
    assert.equal(code, 0, all);
  });
}
