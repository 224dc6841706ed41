// Parsers of the inbound side on hand-made and on random input: strict, total, and never fooled by two spellings.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createInboundReader, MalformedMessage } from '../../../src/doors/inbound/request.ts';
import { parseCompactJwt } from '../../../src/inbound/compact-jwt.ts';
import { parseSignatureInput } from '../../../src/inbound/message-signature.ts';
import { parseRevocationLines } from '../../../src/inbound/revocation-file.ts';
import { parseUniqueJson } from '../../../src/inbound/unique-json.ts';
import { inboundRequest } from '../../support/inbound-messages.ts';

describe('JSON with each name once', () => {
  test('what JSON.parse reads is read the same, if no name is doubled', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const text = JSON.stringify(value);
        assert.deepEqual(parseUniqueJson(text), JSON.parse(text));
      }),
    );
  });
  for (const text of [
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '{"b":{"a":1,"a":2}}',
    '[{"a":[],"a":{}}]',
    '{"a":"}","a":"{"}',
    '{"\\"":1,"\\u0022":2}',
    '{',
    '',
    'undefined',
    `${'['.repeat(20)}${']'.repeat(20)}`,
  ]) {
    test(`${text.slice(0, 30)} is refused`, () => assert.equal(parseUniqueJson(text), undefined));
  }
  test('a name may come again in another object, and as a value', () => {
    const text = '{"a":{"a":"a"},"b":["a","a",{"a":1}],"c":"\\"a\\":1,\\"a\\":2"}';
    assert.deepEqual(parseUniqueJson(text), JSON.parse(text));
  });
});

test('no text makes the JWT parser throw, and only one spelling of a token counts', () => {
  fc.assert(fc.property(fc.string(), (text) => void parseCompactJwt(text)));
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const good = `${part({ alg: 'RS256' })}.${part({ sub: 'a' })}.AAAA`;
  assert.ok(parseCompactJwt(good));
  fc.assert(
    fc.property(fc.nat(good.length), fc.constantFrom(' ', '\n', '=', '+', '/', '%', '\0', 'é'), (at, extra) =>
      assert.equal(parseCompactJwt(good.slice(0, at) + extra + good.slice(at)), undefined),
    ),
  );
});

test('Signature-Input: one signature, plain components, each parameter once', () => {
  const good = 'sig1=("@method" "x-a");created=1;keyid="k \\"q\\"";nonce="n"';
  assert.deepEqual(parseSignatureInput(good), {
    label: 'sig1',
    components: ['@method', 'x-a'],
    parameters: { created: 1, keyid: 'k "q"', nonce: 'n' },
    text: '("@method" "x-a");created=1;keyid="k \\"q\\"";nonce="n"',
  });
  for (const bad of [
    'sig1=("@method";req);created=1',
    'sig1=("@method" "@method");created=1',
    'sig1=("@method");created=1;created=2',
    'sig1=("@method");created=1, sig2=("@method");created=1',
    'sig1=("@method"  "@path");created=1',
    'sig1=("@method"'.padEnd(5_000, 'x'),
    'Sig1=("@method");created=1',
    '("@method");created=1',
    '',
  ]) {
    assert.equal(parseSignatureInput(bad), undefined, bad.slice(0, 60));
  }
  fc.assert(fc.property(fc.string(), (text) => void parseSignatureInput(text)));
});

test('revocation lines: an unknown word, a wrong type or nothing that narrows is refused with its line', () => {
  assert.deepEqual(parseRevocationLines('\n{"jti":"a"}\n{"sub":"b","issued_before":10}\n'), [
    { jti: 'a' },
    { sub: 'b', issuedBefore: 10_000 },
  ]);
  for (const bad of [
    '{"jit":"a"}',
    '{"jti":1}',
    '{}',
    '{"issuer":"a"}',
    '{"jti":"a","expires_at":"soon"}',
    '[]',
    'null',
    '{"sub":"a"',
  ]) {
    assert.throws(() => parseRevocationLines(`{"jti":"a"}\n${bad}`), /^Error: line 2 is no revocation$/, bad);
  }
});

test('revocation lines: fewer than the list says are refused, more are not, and ended ones count', () => {
  const list = ['{"entries":3         }', '{"jti":"a"}', '{"jti":"b","expires_at":5}', '{"jti":"c"}', ''];
  for (const text of [list.join('\n'), `${list.join('\n')}{"jti":"d"}\n`, `\n${list.join('\n\n')}`]) {
    assert.equal(parseRevocationLines(text).at(0)!.jti, 'a');
  }
  for (let lines = 1; lines < list.length - 1; lines++) {
    assert.throws(
      () => parseRevocationLines(`${list.slice(0, lines).join('\n')}\n`),
      new RegExp(`^Error: ${lines - 1} revocations stand where \\{"entries":3\\} says so many: it was cut`),
    );
  }
  for (const bad of ['{"entries":-1}', '{"entries":"3"}', '{"entries":1,"jti":"a"}']) {
    assert.throws(() => parseRevocationLines(`${bad}\n{"jti":"a"}\n`), /line 1 is no revocation/, bad);
  }
});

test('a cut or changed CheckRequest is read or refused as malformed, never anything else', () => {
  const parse = createInboundReader(['authorization', 'dpop']);
  const message = Buffer.from(
    inboundRequest({
      headers: { authorization: ['Bearer a', 'Bearer b'], dpop: 'x', other: 'y' },
      principal: 'spiffe://a/b',
      certificate: 'pem',
      tls: true,
      extensions: { side: 'inbound', policy: 'p' },
    }),
  );
  const whole = parse(message);
  assert.deepEqual(whole.values, ['Bearer a,Bearer b', 'x']);
  assert.deepEqual(whole.counts, [2, 1]);
  assert.equal(whole.tls, true);
  assert.deepEqual([whole.side, whole.policy, whole.principal], ['inbound', 'p', 'spiffe://a/b']);
  const safe = (bytes: Uint8Array) => {
    try {
      parse(bytes);
    } catch (error) {
      assert.ok(error instanceof MalformedMessage, String(error));
    }
  };
  for (let length = 0; length < message.length; length++) safe(message.subarray(0, length));
  fc.assert(
    fc.property(fc.nat(message.length - 1), fc.nat(255), (at, value) => {
      const changed = Buffer.from(message);
      changed[at] = value;
      safe(changed);
    }),
    { numRuns: 2_000 },
  );
});
