import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findingsOf } from '../../../src/app/findings.ts';
import type { Facts, Status } from '../../../src/app/status.ts';

const NOW = 1_800_000_000_000;
const healthy: Facts = {
  ...{ version: '1', mode: 'production', node: 'pod', now: NOW, startedAt: '', missing: [] },
  sources: [],
  endpoints: [],
  configuration: { revision: 1, hash: '', since: '', refused: undefined },
  ...{
    policyBundle: undefined,
    guard: [],
    policies: [],
    unmatched: [],
    feedback: [],
    subscribers: [],
    subscribersLeftOut: 0,
  },
  ...{ inbound: undefined, inboundPolicies: [], inputs: [], certificates: [] },
  ...{ audit: undefined, sharedCache: undefined, spansLost: undefined },
};
const source: Status['sources'][number] = {
  ...{ source: 'orders', type: 'client_credentials', required: true, generation: 4, subjects: undefined },
  ...{
    expiresAt: NOW + 120_000,
    nextRefreshAt: NOW + 5_000,
    lastFailure: undefined,
    lastFailureText: undefined,
  },
  lastHour: [],
};
const refusal: Status['feedback'][number] = {
  ...{ at: NOW - 1_000, door: 'push', policy: 'orders', source: 'orders', generation: 3, verdict: 'counted' },
  ...{ refresh: 'started', renewed: undefined },
};
const told = (part: Partial<Status>) =>
  findingsOf({ ...healthy, ...part }).map(({ severity, about, text }) => `${severity} ${about}: ${text}`);

test('a healthy bearerd needs nobody', () => {
  assert.deepEqual(told({ sources: [source] }), []);
});

test('what the guard did, what push cannot take back and what it does not see are told, each with the way on', () => {
  const one = { policy: 'orders', version: 'v2', good: 'v1', proven: false, watched: true };
  const nothing = { alarm: undefined, manifest: undefined, blind: undefined };
  const guarded = (part: Partial<Status['guard'][number]>) =>
    told({ guard: [{ ...one, ...nothing, ...part }] });
  assert.deepEqual(guarded({}), []);
  assert.deepEqual(guarded({ alarm: 'stepped_back', manifest: 'its match was another' }), [
    'warning policy orders: guard: version v2 was stepped back to its last good version, v1; change the policy: one with another hash is tried anew',
    'warning policy orders: guard: through push version v2 goes on: its match was another; "bearerd generate istio --stepped-back" (or "generate envoy") prints the manifest of the good version, to apply until the policy is changed',
  ]);
  assert.match(guarded({ alarm: 'withdrawn' })[0]!, /withdrawn from its share; change the policy/);
  assert.match(
    guarded({ alarm: 'nothing_to_step_back_to' })[0]!,
    /stays in force; put the configuration of before/,
  );
  assert.match(
    guarded({ blind: 'envoy_admin is missing' })[0]!,
    /sees no request of it: envoy_admin is missing; set/,
  );
});

test('the worst is first: a source without a credential before an open breaker before what mends itself', () => {
  assert.deepEqual(
    told({
      endpoints: [
        {
          ...{ endpoint: 'https://idp', breaker: 'open', inFlight: 0, queued: 0, refreshesPerHour: 60 },
          lastHour: [],
        },
      ],
      sources: [
        { ...source, source: 'new', generation: undefined, expiresAt: undefined },
        { ...source, lastFailure: 'source_unavailable', lastFailureText: 'the provider cannot be reached' },
        {
          ...{ ...source, source: 'dead', generation: undefined },
          ...{ lastFailure: 'source_rejected', lastFailureText: 'the provider answered 401: invalid_client' },
        },
      ],
    }),
    [
      'critical source dead: no credential: source_rejected: the provider answered 401: invalid_client; next attempt in 5s',
      'warning source orders: renewal fails: source_unavailable: the provider cannot be reached; the credential lasts 2m more; next attempt in 5s',
      'warning https://idp: does not answer as it should: its breaker is open, probes go on',
      'note source new: waits for its first credential',
    ],
  );
});

test('a refusal is a note while it heals and a minute after, and an alarm when renewing does not help', () => {
  const renewed = { at: NOW - 955, generation: 4 };
  const rows: [Partial<typeof refusal>, RegExp | undefined][] = [
    [{}, /^note .* healing/],
    [{ renewed }, /^note .* healed: generation 4 after 45 ms/],
    [{ at: NOW - 70_000, renewed: { at: NOW - 61_000, generation: 4 } }, undefined],
    [{ refresh: 'limited' }, /^warning .* over the limit/],
    [{ refresh: 'refused_for_good' }, /^critical .* renewing does not help/],
    [{ refresh: 'stale' }, undefined],
    [{ verdict: 'in_doubt' }, undefined],
    [{ at: NOW - 40_000 }, undefined],
  ];
  for (const [part, expected] of rows) {
    const found = told({ feedback: [{ ...refusal, ...part }] });
    if (expected === undefined) assert.deepEqual(found, [], JSON.stringify(part));
    else assert.match(found.join('\n'), expected, JSON.stringify(part));
  }
});

test('a user whom the provider refuses is no fault of the source', () => {
  const users = { ...source, source: 'users', generation: undefined, expiresAt: undefined, subjects: 3 };
  const failed = (lastFailure: 'subject_rejected' | 'source_rejected') =>
    told({
      sources: [{ ...users, lastFailure, lastFailureText: 'the provider answered 400: invalid_request' }],
    });
  assert.match(failed('subject_rejected')[0]!, /^note source users: the last fetch failed: subject_rejected/);
  assert.match(failed('source_rejected')[0]!, /^warning /);
});

test('an input that never was usable is not said to have a last good one', () => {
  const inputs = [{ input: 'keys of a', entries: undefined, currentAt: undefined, refused: 'no answer' }];
  assert.deepEqual(told({ inputs }), ['warning keys of a: there is none so far: no answer']);
});

test('refused secrets, certificates, inputs, the configuration, the audit trail and Redis are told', () => {
  const findings = told({
    configuration: { ...healthy.configuration, refused: 'startup_wait: expected a duration' },
    certificates: [
      { listener: 'check', notAfter: NOW + 3_600_000, refused: undefined },
      { listener: 'status', notAfter: NOW + 6 * 86_400_000, refused: 'key.pem is not the private key' },
    ],
    inputs: [{ input: 'jwks of a', entries: 2, currentAt: NOW, refused: 'the issuer answered 500' }],
    audit: { state: 'failed', lost: 3 },
    sharedCache: { state: 'down', reason: 'nothing listens there' },
    missing: ['issuer a'],
    subscribers: [
      {
        ...{ listener: 'xds', node: 'sidecar-1' },
        secrets: [
          { name: 'orders', version: '9.2', filled: true, rejected: { version: '9.2', at: NOW - 4_000 } },
        ],
      },
    ],
  });
  assert.deepEqual(
    findings.map((finding) => /^(\w+) (.*?):/.exec(finding)![0]),
    [
      'critical issuer a:',
      'critical Envoy sidecar-1:',
      'critical certificate of check:',
      'warning configuration:',
      'warning certificate of status:',
      'warning certificate of status:',
      'warning jwks of a:',
      'warning audit:',
      'warning audit:',
      'warning shared cache:',
    ],
  );
});

test('scope that was not granted is told with what to do', () => {
  assert.deepEqual(told({ sources: [{ ...source, withheldScope: ['orders:write', 'admin'] }] }), [
    'warning source orders: the provider does not grant all scope: without orders:write admin; ask for less, or have it granted',
  ]);
});
