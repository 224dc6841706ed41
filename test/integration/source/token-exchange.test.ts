// Token exchange against a real provider: what is asked, what is refused, and whose fault it is.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createSubject } from '../../../src/credential/subject.ts';
import { type ExchangeProvider, startExchangeProvider } from '../../support/exchange-provider.ts';
import { issued, issueFailure } from '../../support/issue.ts';
import { sourceOf } from '../../support/token-source.ts';

const TYPE = 'urn:ietf:params:oauth:token-type';
let provider: ExchangeProvider;
const folder = mkdtempSync(join(tmpdir(), 'bearerd-exchange-'));

before(async () => {
  provider = await startExchangeProvider({ clientId: 'gateway', clientSecret: 'gateway-secret' });
});
after(async () => {
  await provider.stop();
  rmSync(folder, { recursive: true, force: true });
});

const source = (more: object = {}, secret = 'gateway-secret') =>
  sourceOf({
    token_exchange: {
      issuer: provider.issuer,
      client_id: 'gateway',
      client_secret: { inline: secret },
      ...more,
    },
  });

const subjectOf = async (name: string, lifetimeSeconds?: number) =>
  createSubject(await provider.userToken(name, lifetimeSeconds), undefined);

describe('a subject of the request', () => {
  test('becomes the subject of the token, with audience, scope and requested type as configured', async () => {
    const exchanging = await source({
      audience: 'urn:orders',
      scope: ['read', 'write'],
      subject_token_type: 'jwt',
      requested_token_type: 'access_token',
    });
    assert.equal(exchanging.perSubject, true);
    const token = await issued(exchanging, { subject: await subjectOf('ann') });
    const claims = await provider.verify(token.value.reveal());
    assert.equal(claims['sub'], 'ann');
    assert.equal(claims['aud'], 'urn:orders');
    assert.ok(token.lifetimeMs! > 590_000 && token.lifetimeMs! <= 600_000);
    assert.equal(provider.lastForm['scope'], 'read write');
    assert.equal(provider.lastForm['subject_token_type'], `${TYPE}:jwt`);
    assert.equal(provider.lastForm['requested_token_type'], `${TYPE}:access_token`);
    assert.equal(provider.lastForm['actor_token'], undefined);
  });

  test('an actor of the request goes along', async () => {
    const exchanging = await source({ actor_token: { header: 'x-actor' } });
    const subject = createSubject(await provider.userToken('ann'), await provider.userToken('robot'));
    const token = await issued(exchanging, { subject });
    const claims = await provider.verify(token.value.reveal());
    assert.deepEqual(claims['act'], { sub: 'robot' });
    assert.equal(provider.lastForm['actor_token_type'], `${TYPE}:access_token`);
  });

  test('the token lives no longer than the subject token', async () => {
    const token = await issued(await source(), { subject: await subjectOf('ann', 30) });
    assert.ok(token.lifetimeMs! > 25_000 && token.lifetimeMs! <= 30_000, String(token.lifetimeMs));
  });

  test('with an expired subject token the provider is not asked', async () => {
    const { calls } = provider;
    const error = await issueFailure(await source(), { subject: await subjectOf('ann', -1) });
    assert.equal(error.code, 'subject_rejected');
    assert.equal(provider.calls, calls);
  });
});

describe('a refusal', () => {
  test('of the subject token is the subject’s fault', async () => {
    const error = await issueFailure(await source(), { subject: createSubject('made-up', undefined) });
    assert.equal(error.code, 'subject_rejected');
    assert.equal(error.retryable, false);
    assert.doesNotMatch(error.message, /made-up/);
  });

  test('of the client is not', async () => {
    const error = await issueFailure(await source({}, 'wrong'), { subject: await subjectOf('ann') });
    assert.equal(error.code, 'source_rejected');
  });

  test('of the target is not', async () => {
    const exchanging = await source({ audience: 'forbidden' });
    const error = await issueFailure(exchanging, { subject: await subjectOf('ann') });
    assert.equal(error.code, 'source_rejected');
    assert.match(error.message, /invalid_target/);
  });

  test('another type of token than the requested one is not taken', async () => {
    const exchanging = await source({ requested_token_type: 'saml2' });
    const error = await issueFailure(exchanging, { subject: await subjectOf('ann') });
    assert.equal(error.code, 'source_invalid_response');
    assert.match(error.message, /issued_token_type/);
  });
});

test('a subject token in a file is everybody’s: one credential, and the actor may stand in a file too', async () => {
  const [subject, actor] = [join(folder, 'subject'), join(folder, 'actor')];
  writeFileSync(subject, `${await provider.userToken('pod')}\n`);
  writeFileSync(actor, `${await provider.userToken('node')}\n`);
  const exchanging = await source({ subject_token: { file: subject }, actor_token: { file: actor } });
  assert.equal(exchanging.perSubject, false);
  const claims = await provider.verify((await issued(exchanging)).value.reveal());
  assert.deepEqual([claims['sub'], claims['act']], ['pod', { sub: 'node' }]);
});
