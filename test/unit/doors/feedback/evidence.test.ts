import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Carried } from '../../../../src/doors/feedback/carried-ring.ts';
import { judgeAttempt, judgeCheck, judgePush } from '../../../../src/doors/feedback/evidence.ts';
import {
  parseCheckAttempt,
  parseFailedAttempt,
  parsePushAttempt,
  type RefusedAttempt,
} from '../../../../src/doors/feedback/refused-attempt.ts';
import { RequestMethod } from '../../../../src/gen/envoy/config/core/v3/base.ts';
import { AccessLogType } from '../../../../src/gen/envoy/data/accesslog/v3/accesslog.ts';
import { checkEntry, type EntryWish, pushEntry } from '../../../support/access-log-entry.ts';
import { fakePolicies } from '../../../support/fake-policies.ts';

const ACKED_AT = 1_000_000;
const policies = fakePolicies([
  { name: 'orders', host: 'orders.example.com', path: '/v1/' },
  { name: 'strict', host: 'strict.example.com', healOn: 'invalid_token' },
  { name: 'off', host: 'off.example.com', healOn: 'off' },
]);
const acknowledgements = {
  carriedSince: (source: string) =>
    source === 'never' ? undefined : { generation: 7, sinceEpochMs: ACKED_AT },
};

const push = (wish: EntryWish, acks: Parameters<typeof judgePush>[2] = acknowledgements) => {
  const attempt = parsePushAttempt(pushEntry({ startedAt: ACKED_AT + 51, ...wish }));
  if (attempt === undefined || attempt === 'malformed') return attempt ?? 'no refusal';
  return judgePush(attempt, policies, acks).verdict;
};
const tag = (source: string) => ({ 'bearerd.source': source });

test('push: each way in which an attempt counts or not', () => {
  const strict: EntryWish = { authority: 'strict.example.com', tags: tag('strict') };
  const rows: readonly [string, EntryWish, string][] = [
    ['a 401 after the ACK', {}, 'counted'],
    ['at ACK + 50 ms', { startedAt: ACKED_AT + 50 }, 'in_doubt'],
    ['before the ACK', { startedAt: ACKED_AT - 1 }, 'in_doubt'],
    ['gRPC status 16, trailers-only', { status: 200, headers: { 'grpc-status': '16' } }, 'counted'],
    ['gRPC status 16 in trailers', { status: 200, trailers: { 'grpc-status': '16' } }, 'counted'],
    ['gRPC status 7', { status: 200, headers: { 'grpc-status': '7' } }, 'no refusal'],
    ['gRPC status 0', { status: 200, trailers: { 'grpc-status': '0' } }, 'no refusal'],
    ['200', { status: 200 }, 'no refusal'],
    ['403', { status: 403 }, 'no refusal'],
    ['429', { status: 429 }, 'no refusal'],
    ['407', { status: 407 }, 'no refusal'],
    ['503 with grpc-status 16', { status: 503, headers: { 'grpc-status': '16' } }, 'no refusal'],
    ['another kind of entry', { type: AccessLogType.DownstreamEnd }, 'no refusal'],
    ['another path of the cluster', { path: '/login' }, 'not_ours'],
    ['another host of the cluster', { authority: 'other.example.com' }, 'not_ours'],
    ['a host of another source', { authority: 'strict.example.com' }, 'not_ours'],
    ['no source tag', { tags: {} }, 'malformed'],
    ['an unknown source', { tags: tag('someone') }, 'malformed'],
    ['no path', { path: '' }, 'malformed'],
    ['no authority', { authority: '' }, 'malformed'],
    ['heal_on: off', { authority: 'off.example.com', tags: tag('off') }, 'heal_off'],
    [
      'insufficient_scope',
      { headers: { 'www-authenticate': 'Bearer error="insufficient_scope"' } },
      'not_a_token_fault',
    ],
    [
      'invalid_request',
      { headers: { 'www-authenticate': 'Bearer error="invalid_request"' } },
      'not_a_token_fault',
    ],
    ['heal_on: invalid_token, no challenge', strict, 'not_a_token_fault'],
    [
      'heal_on: invalid_token, a challenge that says so',
      { ...strict, headers: { 'www-authenticate': 'Bearer error="invalid_token"' } },
      'counted',
    ],
  ];
  for (const [what, wish, verdict] of rows) assert.equal(push(wish), verdict, what);
});

test('push: without an ACK of everyone nothing counts', () => {
  assert.equal(push({}, { carriedSince: () => undefined }), 'in_doubt');
});

test('push: the generation is the acknowledged one', () => {
  const attempt = parsePushAttempt(pushEntry({ startedAt: ACKED_AT + 60 })) as RefusedAttempt;
  assert.deepEqual(judgePush(attempt, policies, acknowledgements), {
    verdict: 'counted',
    policy: 'orders',
    source: 'orders',
    generation: 7,
    sinceEpochMs: ACKED_AT,
  });
});

test('entries with missing parts are malformed and nothing throws', () => {
  const whole = pushEntry();
  for (const part of ['commonProperties', 'request', 'response'] as const) {
    assert.equal(parsePushAttempt({ ...whole, [part]: undefined }), 'malformed', part);
    const check = parseCheckAttempt({ ...checkEntry(), [part]: undefined });
    assert.equal(check, part === 'response' ? undefined : 'malformed', part);
  }
  const untimed = pushEntry();
  untimed.commonProperties!.startTime = undefined;
  assert.equal(parsePushAttempt(untimed), 'malformed');
});

test('methods are names, and one that the log has no word for is empty', () => {
  const method = (requestMethod: RequestMethod) =>
    (parsePushAttempt(pushEntry({ method: requestMethod })) as RefusedAttempt).method;
  assert.equal(method(RequestMethod.PATCH), 'PATCH');
  assert.equal(method(RequestMethod.METHOD_UNSPECIFIED), '');
  assert.equal(method(77 as RequestMethod), '');
});

const ring = (entries: Readonly<Record<string, ReturnType<Carried['find']>>>): Carried => ({
  find: (...key) => entries[key.slice(0, 4).join(' ')],
});
const KEY = 'id-1 orders.example.com GET /v1/orders?user=7';
const check = (wish: EntryWish, carried: Carried) => {
  const attempt = parseCheckAttempt(checkEntry(wish));
  if (attempt === undefined || attempt === 'malformed') return attempt ?? 'no refusal';
  const { verdict, source } = judgeCheck(attempt, policies, carried, 0);
  return `${verdict} ${source}`.trim();
};

test('check: only what the ring knows under the whole key counts', () => {
  const carried = ring({ [KEY]: { source: 'orders', generation: 3 } });
  assert.equal(check({}, carried), 'counted orders');
  assert.equal(check({ requestId: 'id-2' }, carried), 'not_ours');
  assert.equal(check({ path: '/v1/orders?user=8' }, carried), 'not_ours');
  assert.equal(check({ method: RequestMethod.POST }, carried), 'not_ours');
  assert.equal(check({}, ring({ [KEY]: 'in_doubt' })), 'in_doubt');
});

test('check: a path rewritten by the route is found by its original', () => {
  const carried = ring({ [KEY]: { source: 'orders', generation: 3 } });
  assert.equal(check({ path: '/internal', originalPath: '/v1/orders?user=7' }, carried), 'counted orders');
});

test('check: an answer that no upstream gave, and another kind of entry, are no refusals', () => {
  const carried = ring({ [KEY]: { source: 'orders', generation: 3 } });
  assert.equal(check({ details: 'ext_authz_denied' }, carried), 'no refusal');
  assert.equal(check({ type: AccessLogType.DownstreamStart }, carried), 'no refusal');
  assert.equal(check({ status: 403 }, carried), 'no refusal');
});

test('check: heal_on and the challenge are the policy’s', () => {
  const key = 'id-1 strict.example.com GET /v1/orders?user=7';
  const carried = ring({ [key]: { source: 'strict', generation: 3 } });
  const wish = { authority: 'strict.example.com' };
  assert.equal(check(wish, carried), 'not_a_token_fault strict');
  const challenge = { 'www-authenticate': 'Bearer error="invalid_token"' };
  assert.equal(check({ ...wish, headers: challenge }, carried), 'counted strict');
});

const proof = { upstreamUrl: 'https://api.example.com', dpop: true, sign: undefined };
const proving = fakePolicies([
  { name: 'orders', host: 'orders.example.com', path: '/v1/' },
  { name: 'off', host: 'off.example.com', healOn: 'off' },
  { name: 'bound', host: 'bound.example.com', proof },
]);

test('attempt: why an attempt failed, and whether the credential is to blame', () => {
  const of = (wish: EntryWish, source = 'orders'): string => {
    const tags = { 'bearerd.source': source, 'bearerd.door': 'attempt', ...wish.tags };
    const attempt = parseFailedAttempt(pushEntry({ requestId: 'id-1', ...wish, tags }));
    if (attempt === undefined || attempt === 'malformed') return attempt ?? 'not ours';
    const { outcome, objection } = judgeAttempt(attempt, proving);
    return [attempt.result, outcome, objection].join(' ').trim();
  };
  const bound = { authority: 'bound.example.com' };
  const nonce = { 'www-authenticate': 'DPoP error="use_dpop_nonce"', 'dpop-nonce': 'n' };
  const rows: readonly [string, string, EntryWish, string?][] = [
    ['a 401', 'refused refused', {}],
    ['gRPC status 16', 'refused refused', { status: 200, headers: { 'grpc-status': '16' } }],
    ['a 503', 'failed failed', { status: 503 }],
    ['a 429', 'failed failed', { status: 429 }],
    ['gRPC status 14', 'failed failed', { status: 200, headers: { 'grpc-status': '14' } }],
    ['a reset', 'failed failed', { status: 0 }],
    ['an answer that brings a nonce', 'answered failed', { status: 200, headers: { 'dpop-nonce': 'n' } }],
    ['heal_on: off', 'refused failed heal_off', { authority: 'off.example.com' }, 'off'],
    ['another path', 'refused failed not_ours', { path: '/login' }],
    ['a nonce that is asked for', 'refused nonce_demanded', { ...bound, headers: nonce }, 'bound'],
    ['the same where no proof is ours', 'refused failed not_a_token_fault', { headers: nonce }],
    [
      'a bound token that is refused',
      'refused refused',
      { ...bound, headers: { 'www-authenticate': 'DPoP error="invalid_token"' } },
      'bound',
    ],
    [
      'a proof that is refused',
      'refused failed not_a_token_fault',
      { ...bound, headers: { 'www-authenticate': 'DPoP error="invalid_dpop_proof"' } },
      'bound',
    ],
    ['another door’s cluster', 'not ours', { tags: { 'bearerd.door': 'push' } }],
    ['an unknown source', 'refused failed malformed', {}, 'nobody'],
  ];
  for (const [what, expected, wish, source] of rows) assert.equal(of(wish, source), expected, what);
});

test('push: an attempt of the attempt door is not judged twice', () => {
  assert.equal(push({ tags: { 'bearerd.source': 'orders', 'bearerd.door': 'attempt' } }), 'no refusal');
});

test('where the guard put another source in the place of the one that Envoy has, refusals are of that one', () => {
  const [orders] = policies.policies;
  const stepped = { ...orders!, policy: 'orders', source: 'orders@1234abcd', instead: 'orders' };
  const table = { ...policies, policies: [stepped], byName: () => stepped, match: () => stepped };
  const ofPolicy = (policy: string) =>
    parsePushAttempt(
      pushEntry({ startedAt: ACKED_AT + 51, tags: { ...tag('orders'), 'bearerd.policy': policy } }),
    ) as RefusedAttempt;
  assert.deepEqual(judgePush(ofPolicy('orders'), table, acknowledgements), {
    verdict: 'counted',
    policy: 'orders',
    source: 'orders@1234abcd',
    generation: 7,
    sinceEpochMs: ACKED_AT,
  });
  const others = { ...table, byName: () => undefined };
  assert.equal(judgePush(ofPolicy('someone'), others, acknowledgements).verdict, 'malformed');
});
