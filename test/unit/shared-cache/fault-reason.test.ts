// What a server says is never quoted: it may be what was sent to it, the password among it, or of any length.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RedisConfig } from '../../../src/config/config.ts';
import { CredentialError } from '../../../src/lib/errors.ts';
import { createFaultReasons } from '../../../src/shared-cache/fault-reason.ts';

const config = {
  ...{ kind: 'single', nodes: [{ host: 'redis.svc', port: 6379 }], masterName: undefined, tls: undefined },
  ...{ username: 'checkout', password: undefined },
} as RedisConfig;
const reasons = createFaultReasons(config, 'shop');

test('known faults are told with what to change', () => {
  const told: readonly [string, RegExp][] = [
    ['WRONGPASS invalid', /the user "checkout" with this password \(WRONGPASS\): redis\.username and/],
    ["NOPERM User checkout has no permissions to run the 'eval' command", /give it \+eval \(ACL SETUSER\)/],
    ["NOPERM this user has no permissions to run the 'cluster|slots' command", /give it \+cluster\|slots/],
    ['NOPERM No permissions to access a key', /give it ~bearerd:shop:\*/],
    ['NOPERM No permissions to access a channel', /give it &bearerd:shop:\*/],
    ['ERR max number of clients reached', /maxclients/],
    ['MOVED 1 10.0.0.1:6379', /redis\.cluster/],
    ['NOPROTO unsupported', /\(NOPROTO\): Redis 7/],
  ];
  for (const [text, reason] of told) assert.match(reasons.of(new Error(text)), reason);
  const gone = new CredentialError('secret_unreadable', '/var/run/p w/x cannot be read: ENOENT', {
    retryable: true,
  });
  assert.equal(reasons.of(gone), 'redis.password: the file cannot be read: ENOENT');
});

test('nothing that a server made up is quoted', () => {
  for (const text of [
    'SECRET',
    'SECRET secret',
    'S'.repeat(100_000),
    "NOPERM User x has no permissions to run the 'secret' command",
    'NOPERM secret',
    "ERR unknown command 'AUTH', with args beginning with: 'checkout' 'secret'",
    'secret',
  ]) {
    const reason = reasons.of(new Error(text));
    assert.doesNotMatch(reason, /secret/i);
    assert.ok(reason.length < 300, reason);
    assert.doesNotMatch(reasons.ofCommands([['GET', text]]), /secret/i);
  }
  const coded = Object.assign(new Error('secret'), { code: 'SECRET' });
  assert.doesNotMatch(reasons.of(new Error('secret', { cause: new Error('secret') })), /secret/);
  assert.match(reasons.of(coded), /SECRET/, 'a code of the system is ours');
});
