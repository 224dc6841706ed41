// The check door's answers, read back by Envoy's own message definitions, and byte by byte where a byte decides.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import type { Credential } from '../../../../src/credential/credential.ts';
import { checkAnswers } from '../../../../src/doors/check/answer.ts';
import { Secret } from '../../../../src/lib/secret.ts';
import { compileInjection } from '../../../../src/policy/injection.ts';
import type { Policy } from '../../../../src/policy/policy.ts';
import { fakePolicies } from '../../../support/fake-policies.ts';

const deps = join(process.cwd(), 'node_modules/@grpc/grpc-js-xds/deps');
const api = loadSync('envoy/service/auth/v3/external_auth.proto', {
  keepCase: true,
  enums: String,
  // Without defaults: an absent field is told from a false one.
  includeDirs: ['envoy-api', 'googleapis', 'protoc-gen-validate', 'xds'].map((name) => join(deps, name)),
});
const { Check } = api['envoy.service.auth.v3.Authorization'] as ServiceDefinition;
// biome-ignore lint/suspicious/noExplicitAny: a message of Envoy's
const read = (bytes: Uint8Array): any => Check!.responseDeserialize(Buffer.from(bytes));

const [orders] = fakePolicies([{ name: 'orders', host: 'orders.example.com' }]).policies;
const credential = { value: new Secret('t0ken'), generation: 7, source: 'orders', issuedBy: 'orders' };
const inject = (policy: Partial<Policy> = {}, patch: Partial<Credential> = {}) =>
  checkAnswers.injection({ ...orders!, ...policy }, { ...credential, ...patch } as Credential);

describe('an injection', () => {
  test('overwrites the header, with append: false on the wire beside append_action', () => {
    const { status, ok_response } = read(inject());
    assert.equal(status.code ?? 0, 0);
    assert.deepEqual(ok_response.headers, [
      {
        header: { key: 'authorization', value: 'Bearer t0ken' },
        append: {},
        append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
      },
    ]);
    // append = 2: an empty BoolValue, then append_action = 3: 2.
    assert.ok(Buffer.from(inject()).includes(Buffer.from([0x12, 0x00, 0x18, 0x02])));
  });

  test('names policy and generation in one field of the metadata, and the source where a fallback gave it', () => {
    const field = (answer: Uint8Array) => read(answer).dynamic_metadata.fields;
    assert.deepEqual(field(inject()), { credential: { stringValue: 'orders/7' } });
    assert.deepEqual(field(inject({}, { issuedBy: 'backup' })), {
      credential: { stringValue: 'orders/7/backup' },
    });
  });

  test('puts every header and the query parameter of its policy, and takes away what the policy removes', () => {
    const header = (name: string, prefix: string) => ({ name, prefix, basic: undefined });
    const { ok_response } = read(
      inject({
        injection: compileInjection({
          source: 'orders',
          headers: [header('authorization', 'Bearer '), header('x-api-key', '')],
          query: 'key',
        }),
        removes: ['x-subject'],
      }),
    );
    assert.deepEqual(
      ok_response.headers.map((h: { header: object }) => h.header),
      [
        { key: 'authorization', value: 'Bearer t0ken' },
        { key: 'x-api-key', value: 't0ken' },
      ],
    );
    assert.deepEqual(ok_response.headers_to_remove, ['x-subject']);
    assert.deepEqual(ok_response.query_parameters_to_set, [{ key: 'key', value: 't0ken' }]);
  });

  test('never writes a line break into a header', () => {
    assert.throws(() => inject({}, { value: new Secret('a\r\nx-admin: 1') }), /line break/);
  });
});

describe('without a credential', () => {
  test('an untouched pass has a status and an empty ok_response', () => {
    assert.deepEqual(Buffer.from(checkAnswers.passUntouched), Buffer.from([0x0a, 0x00, 0x1a, 0x00]));
    assert.deepEqual(read(checkAnswers.passUntouched), { status: {}, ok_response: {} });
  });

  test('on_failure: pass removes the app’s own header', () => {
    const answer = read(checkAnswers.passWithout({ ...orders!, removes: ['x-subject'] }));
    assert.deepEqual(answer.ok_response, { headers_to_remove: ['authorization', 'x-subject'] });
  });

  test('a denial carries status, reason and whole seconds of Retry-After', () => {
    const { status, denied_response } = read(checkAnswers.denial('source_unavailable', 1_200));
    assert.equal(status.code, 14);
    assert.equal(denied_response.status.code, 'ServiceUnavailable');
    const headers = denied_response.headers.map((h: { header: { key: string; value: string } }) => [
      h.header.key,
      h.header.value,
    ]);
    assert.deepEqual(headers, [
      ['content-type', 'application/json'],
      ['x-bearerd-reason', 'source_unavailable'],
      ['retry-after', '2'],
    ]);
    assert.deepEqual(JSON.parse(denied_response.body), {
      error: 'credential_unavailable',
      reason: 'source_unavailable',
    });
  });

  test('what will not work later has no Retry-After: 403 for no policy, 400 for an ambiguous path', () => {
    for (const [reason, code, http] of [
      ['unmatched', 7, 'Forbidden'],
      ['unmarked', 7, 'Forbidden'],
      ['ambiguous_path', 3, 'BadRequest'],
    ] as const) {
      const { status, denied_response } = read(checkAnswers.denial(reason, 5_000));
      assert.deepEqual([status.code, denied_response.status.code], [code, http]);
      assert.doesNotMatch(JSON.stringify(denied_response), /retry-after/);
    }
  });
});
