// Whatever calls itself Redis: a server that speaks the protocol until it is asked, and then answers nonsense. It costs
// misses, and neither an error, nor a token that nobody sealed, nor the password in what is told.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Secret } from '../../src/lib/secret.ts';
import { countingProvider, createMember, newKey } from '../support/fleet.ts';
import { until } from '../support/until.ts';

const HELLO = '%1\r\n$5\r\nproto\r\n:3\r\n';
const SUBSCRIBED = '>3\r\n$9\r\nsubscribe\r\n$14\r\nbearerd:a:wake\r\n:1\r\n';
const random = () => Buffer.from(Array.from({ length: 64 }, () => Math.random() * 256));

/** By what it says to EVAL; how a member is told of it. */
const ANSWERS: readonly [what: string, answer: string | (() => Buffer), reason: RegExp][] = [
  ['a text', '+OK\r\n', /no Redis/],
  ['nothing', '_\r\n', /no Redis/],
  ['a number beyond all bounds', `:${'9'.repeat(40)}\r\n`, /no Redis/],
  ['negative lengths', '$-5\r\n', /no Redis/],
  ['an entry that nobody sealed', '*4\r\n$7\r\ngarbage\r\n:60000\r\n$1\r\n5\r\n:-1\r\n', /no Redis/],
  ['two answers for each question', '+OK\r\n+OK\r\n', /no Redis/],
  [
    'an error that quotes',
    '-ERR unknown command AUTH with correct-horse\r\n',
    /refuses what bearerd asks \(ERR\)/,
  ],
  ['HTTP', 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n', /no answer|ends the connection/],
  ['random bytes', random, /./],
  ['an array of two billion', '*2147483647\r\n', /no answer/],
  ['a text of 100 GB that does not come', '$99999999999\r\nabc', /no answer/],
  ['arrays in arrays', '*1\r\n'.repeat(100_000), /no answer|no Redis/],
  [
    'wakes without end',
    '>3\r\n$7\r\nmessage\r\n$14\r\nbearerd:a:wake\r\n$0\r\n\r\n'.repeat(500),
    /no answer/,
  ],
];

async function startNonsense(t: TestContext, answer: string | (() => Buffer)): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (data) => {
      for (const [, command] of data.toString('latin1').matchAll(/\*\d+\r\n\$\d+\r\n([A-Za-z]+)/g)) {
        if (command === 'HELLO') socket.write(HELLO);
        else if (command === 'SUBSCRIBE') socket.write(SUBSCRIBED);
        else socket.write(typeof answer === 'string' ? answer : answer());
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test('a server that answers nonsense', { concurrency: true }, async (t) => {
  await Promise.all(
    ANSWERS.map(([what, answer, reason]) =>
      t.test(what, async (own) => {
        const port = await startNonsense(own, answer);
        const password = { from: 'inline', value: new Secret('correct-horse') } as const;
        const settings = { port, key: newKey(), provider: countingProvider(), tenant: 'a' };
        const member = createMember(own, { ...settings, redis: { username: 'u', password } });
        assert.match(await member.issue(), /^token-/);
        assert.match(await member.issue({ neededBy: performance.now() + 3_000 }), /^token-/);
        assert.match(await member.issue({ refused: new Secret('token-1') }), /^token-/);
        await until(
          () => `down, told was ${JSON.stringify(member.named('sharedCacheChanged'))}`,
          () => {
            const [state, why] = member.named('sharedCacheChanged').at(-1) ?? [];
            return state === 'down' && reason.test(String(why));
          },
        );
        assert.ok(!member.named('sharedCacheChanged').some(([state]) => state === 'up'));
        assert.doesNotMatch(JSON.stringify(member.events), /correct-horse/);
      }),
    ),
  );
});
