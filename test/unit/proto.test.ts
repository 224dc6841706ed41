// Holds our cut-down protos against Envoy's full API: same names, numbers, types and labels.
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadSync, type PackageDefinition } from '@grpc/proto-loader';
import { Secret } from '../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts';

interface Field {
  readonly name: string;
  readonly number: number;
  readonly type: string;
  readonly label: string;
  readonly typeName: string;
}
interface Message {
  readonly field: readonly Field[];
}
interface EnumType {
  readonly value: readonly { readonly name: string; readonly number: number }[];
}

const deps = 'node_modules/@grpc/grpc-js-xds/deps';
// SPIFFE's is held against go-spiffe itself (workload-api.test.ts).
const files = globSync('{envoy,google}/**/*.proto', { cwd: 'proto' });
const load = (includeDirs: readonly string[]) =>
  loadSync(files as string[], { keepCase: true, enums: String, includeDirs: [...includeDirs] });
const ours = load([join(process.cwd(), 'proto')]);
const full = load(
  ['envoy-api', 'googleapis', 'protoc-gen-validate', 'xds'].map((name) => join(process.cwd(), deps, name)),
);

const isOurs = (name: string) => /^(envoy|google\.rpc)\./.test(name);
const typesOf = (definition: PackageDefinition, name: string) =>
  (definition[name] as unknown as { type?: unknown } | undefined)?.type;

test('every message, field and enum value of proto/ is as in the full API', () => {
  const problems: string[] = [];
  let fields = 0;
  for (const name of Object.keys(ours).filter(isOurs)) {
    const [mine, theirs] = [typesOf(ours, name), typesOf(full, name)];
    if (!theirs) problems.push(`${name} is not in the full API`);
    else if ((mine as EnumType).value)
      problems.push(...compareEnums(name, mine as EnumType, theirs as EnumType));
    else {
      problems.push(...compareMessages(name, mine as Message, theirs as Message));
      fields += (mine as Message).field.length;
    }
  }
  assert.deepEqual(problems, []);
  assert.ok(fields >= 45, `only ${fields} fields were compared`);
});

function compareMessages(name: string, mine: Message, theirs: Message): string[] {
  return mine.field.flatMap((field) => {
    const other = theirs.field.find((f) => f.name === field.name);
    if (!other) return [`${name}.${field.name} is not in the full API`];
    const shape = (f: Field) => ({
      number: f.number,
      type: f.type,
      label: f.label,
      typeName: f.typeName.split('.').at(-1),
    });
    const [a, b] = [shape(field), shape(other)].map((s) => JSON.stringify(s));
    return a === b ? [] : [`${name}.${field.name} is ${a}, in the full API ${b}`];
  });
}

function compareEnums(name: string, mine: EnumType, theirs: EnumType): string[] {
  return mine.value
    .filter((value) => !theirs.value.some((v) => v.name === value.name && v.number === value.number))
    .map((value) => `${name}.${value.name} = ${value.number} is not in the full API`);
}

test('an empty secret has its empty inline_string on the wire, or Envoy would keep the old token', () => {
  const encoded = Secret.encode({
    name: 'n',
    type: {
      $case: 'genericSecret',
      genericSecret: { secret: { specifier: { $case: 'inlineString', inlineString: '' } } },
    },
  }).finish();
  // name "n"; generic_secret (5) { secret (1) { inline_string (3) "" } }
  assert.equal(Buffer.from(encoded).toString('hex'), '0a016e2a040a021a00');
});
