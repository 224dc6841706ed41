// Whatever a document names is there: files and headings that it links to, tests, scripts, commands with their options, metrics.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { runCommandLine } from '../../../src/cli/run.ts';
import { createMetrics } from '../../../src/telemetry/metrics-observer.ts';
import { DOCUMENTS } from '../../support/doc-blocks.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const texts = new Map(DOCUMENTS.map((document) => [document, readFileSync(document, 'utf8')]));

/** Every match in every document, as `DOCUMENT: TEXT`, for which `wrong` says so. */
function wrongOnes(pattern: RegExp, wrong: (match: RegExpExecArray, document: string) => boolean): string[] {
  let seen = 0;
  const found = [...texts].flatMap(([document, text]) =>
    [...text.matchAll(pattern)]
      .filter((match) => ++seen && wrong(match as RegExpExecArray, document))
      .map(([all]) => `${document}: ${all}`),
  );
  assert.ok(seen > 0, `nothing is like ${pattern}`);
  return found;
}

/** As GitHub makes it of a heading. */
function anchors(document: string): readonly string[] {
  return [...readFileSync(document, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  );
}

test('every link leads to a file that is there, and to a heading of it', () => {
  const broken = wrongOnes(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g, ([, path, anchor], document) => {
    const target = path === '' ? document : normalize(join(dirname(document), path!));
    return !existsSync(target) || (anchor !== undefined && !anchors(target).includes(anchor));
  });
  assert.deepEqual(broken, []);
});

test('every test that a document names is there', () => {
  assert.deepEqual(
    wrongOnes(/\btest\/[\w./-]+\.test\.ts/g, ([file]) => !existsSync(file)),
    [],
  );
});

test('every npm script that a document names is one', () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: object };
  assert.deepEqual(
    wrongOnes(/npm run ([\w:]+)/g, ([, name]) => !(name! in scripts)),
    [],
  );
});

test('every metric that a document names is one', () => {
  const names = createMetrics(new FakeClock())
    .list()
    .flatMap(({ name, type }) => (type === 'histogram' ? [name, `${name}_count`, `${name}_bucket`] : [name]));
  // A reason of a 503, and no metric.
  names.push('bearerd_unavailable');
  assert.deepEqual(
    wrongOnes(/\bbearerd_\w+/g, ([name]) => !names.includes(name)),
    [],
  );
});

test('every label that a document gives a metric is one of its labels', () => {
  const metrics = new Map(
    createMetrics(new FakeClock())
      .list()
      .map(({ name, labels }) => [name, labels]),
  );
  assert.deepEqual(
    wrongOnes(/\b(bearerd_\w+?)(?:_count|_bucket)?\{([^}]*)\}/g, ([, name, labels]) =>
      labels!.split(',').some((label) => !metrics.get(name!)?.includes(label.split('=')[0]!.trim())),
    ),
    [],
  );
});

test('every command that a document names is one, with these options', async () => {
  const help = async (...args: string[]) => {
    const said: string[] = [];
    const context = { out: (text: string) => said.push(text) };
    await runCommandLine([...args, '--help'], context as unknown as Parameters<typeof runCommandLine>[1]);
    return said.join('');
  };
  const verbs = new Map<string, string>();
  for (const [, verb] of (await help()).matchAll(/^ {2}([a-z-]+)/gm)) verbs.set(verb!, await help(verb!));
  const parts = await Promise.all(['envoy', 'istio', 'kubernetes'].map((part) => help('generate', part)));
  verbs.set('generate', parts.join(''));
  assert.ok(verbs.size > 15);
  const wrong = wrongOnes(/`bearerd ([a-z-]+)([^`|]*)/g, ([, verb, rest]) => {
    const text = verbs.get(verb!);
    return text === undefined || (rest!.match(/--[a-z-]+/g) ?? []).some((option) => !text.includes(option));
  });
  assert.deepEqual(wrong, []);
});
