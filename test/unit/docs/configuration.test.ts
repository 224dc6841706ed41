// docs/configuration.md has every key of the configuration, and none that is not one.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { configJsonSchema } from '../../../src/config/schema.ts';

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
}

const page = readFileSync('docs/configuration.md', 'utf8');
const [, table] = /^## Every key\n([\s\S]*?)^## /m.exec(page)!;
const rows = [...table!.matchAll(/^\| (`[^|]*`) \|/gm)].flatMap(([, cell]) => cell!.match(/[^`, ]+/g)!);

const schema = configJsonSchema() as Schema;
const { listen, sources, outbound, ...top } = schema.properties!;
const names = (of: Schema | undefined) => Object.keys(of?.properties ?? {});
const keys = [
  ...Object.keys(top).filter((key) => key !== '$schema' && key !== 'version'),
  ...names(listen).map((key) => `listen.${key}`),
  ...names(sources!.additionalProperties).map((key) => `sources.NAME.${key}`),
  ...names(outbound!.items)
    .filter((key) => key !== 'name')
    .map((key) => `outbound[].${key}`),
];

test('every key of the configuration, of listen, of a source and of a policy is in docs/configuration.md', () => {
  assert.ok(keys.length > 45, `only ${keys.length} found`);
  assert.deepEqual(
    keys.filter((key) => !rows.includes(key)),
    [],
  );
});

test('every row of docs/configuration.md is a key', () => {
  const known = new Set([...keys, 'listen.check.tls', 'listen.check.front']);
  assert.deepEqual(
    rows.filter((row) => !known.has(row)),
    [],
  );
});

test('every key of inbound is in docs/inbound.md or in docs/configuration.md', () => {
  const pages = page + readFileSync('docs/inbound.md', 'utf8');
  const inbound = schema.properties!['inbound']!;
  const policy = names(inbound.properties!['policies']!.items);
  const issuer = names(inbound.properties!['issuers']!.additionalProperties);
  assert.ok(policy.length > 15 && issuer.length > 8);
  assert.deepEqual(
    [...names(inbound), ...policy, ...issuer].filter((key) => !new RegExp(`\\b${key}\\b`).test(pages)),
    [],
  );
});
