// Policies that deny stand in the same table as those that inject; in shadow they change nothing of it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compilePolicies } from '../../../src/policy/compile.ts';
import { outcomeOf, outcomeText, parseAskedRequest } from '../../../src/policy/outcome.ts';
import { configOf, type PolicySketch } from '../../support/generate-config.ts';

const SHADOW = { mode: 'shadow', percent: undefined, by: undefined } as const;
const prefix = (value: string) => ({ kind: 'prefix', value }) as const;

const policies = (mode?: PolicySketch['mode']): PolicySketch[] => [
  { name: 'first', hosts: ['h'], methods: ['DELETE'], paths: [prefix('/drafts')] },
  { name: 'no-deletes', hosts: ['h', '*.h'], methods: ['DELETE'], deny: 403, ...(mode && { mode }) },
  { name: 'no-admin', hosts: ['h'], paths: [prefix('/admin')], deny: 404, ...(mode && { mode }) },
  { name: 'orders', hosts: ['h'] },
];

const of = (mode?: PolicySketch['mode']) =>
  compilePolicies(configOf(policies(mode), { ambiguousPath: 'deny' }));
const told = (mode: PolicySketch['mode'], request: string) =>
  outcomeText(outcomeOf(of(mode), parseAskedRequest(request)!));

describe('a denial', () => {
  for (const [request, expected] of [
    ['DELETE http://h/drafts/1', 'inject first'],
    ['DELETE http://h/orders/1', 'deny no-deletes'],
    ['DELETE http://x.h/', 'deny no-deletes'],
    ['GET http://x.h/', 'pass'],
    ['GET http://h/admin?x', 'deny no-admin'],
    ['GET http://h/administer', 'inject orders'],
    ['GET http://h//admin', 'deny (ambiguous_path)'],
    ['GET http://h/orders', 'inject orders'],
  ] as const) {
    test(`${request}: ${expected}`, () => assert.equal(told(undefined, request), expected));
  }

  test('says its status and the reason', () => {
    const outcome = outcomeOf(of(), parseAskedRequest('DELETE http://h/')!);
    assert.deepEqual(outcome, {
      decision: 'deny',
      policy: 'no-deletes',
      source: undefined,
      reason: 'denied',
    });
    assert.equal(of().byName('no-admin')!.denies, 404);
  });
});

describe('a denial in shadow', () => {
  test('leaves each request to what is behind it, ambiguous paths too, and is told', () => {
    const table = of(SHADOW);
    const without = compilePolicies(
      configOf(
        policies().filter(({ deny }) => deny === undefined),
        { ambiguousPath: 'deny' },
      ),
    );
    for (const [method, host, path, watching] of [
      ['DELETE', 'h', '/orders/1', 'no-deletes'],
      ['DELETE', 'x.h', '/', 'no-deletes'],
      ['DELETE', 'h', '/drafts/1', undefined],
      ['GET', 'h', '/admin', 'no-admin'],
      ['GET', 'h', '//admin', undefined],
      ['GET', 'h', '/orders', undefined],
    ] as const) {
      const [is, was] = [table, without].map((one) => one.match(host, method, path, 'http'));
      const name = (found: typeof is) => (typeof found === 'object' ? found.name : found);
      assert.equal(name(is), name(was), `${method} ${host}${path}`);
      assert.equal(table.wouldDeny!(host, method, path, 'http')?.name, watching, `${method} ${host}${path}`);
    }
  });

  test('is tried by simulate and test as if it were in force', () => {
    assert.equal(told(SHADOW, 'DELETE http://h/orders/1'), 'deny no-deletes');
  });

  test('where there is none nothing is looked up for it', () => assert.equal(of().wouldDeny, undefined));
});
