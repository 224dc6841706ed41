// npm run demo: the whole story with real parts, exit 0 when everything was as told. `--keep` leaves it running.

import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createAccount } from './account.ts';
import { type Answer, createWorld, type GatedEnvoy, ORDERS } from './world.ts';

const { values } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
const account = createAccount(process.stdout);

/** A step of the closing table. */
interface Shown {
  readonly what: string;
  readonly requests: number;
  readonly tokenCalls: number;
  readonly failures: number;
}

const shown: Shown[] = [];
let parts: Awaited<ReturnType<typeof createWorld>> | undefined;

let isTold = false;
/** Exit code: 128 and the number of the signal, as a shell tells it; 0 where all was told and only this was waited for. */
const interrupted = new Promise<number>((resolve) => {
  const end = (code: number) => resolve(isTold ? 0 : code);
  process.on('SIGINT', () => end(130));
  process.on('SIGTERM', () => end(143));
  process.on('SIGHUP', () => end(129));
  // Nobody reads any more, as with `| head`.
  process.stdout.on('error', () => end(141));
});

const end = await Promise.race([
  tell().then(
    () => 0,
    (error: Error) => error,
  ),
  interrupted,
]);
if (end instanceof Error) account.line(`the demo failed: ${end.message}`);
await parts?.stop();
process.exit(end instanceof Error ? 1 : end);

async function tell(): Promise<void> {
  account.title('bearerd: an existing service without auth code calls an API that demands mTLS and a JWT');
  account.progress('fetching Envoy, once');
  const world = await createWorld();
  parts = world;
  let bearerd = await world.startBearerd();
  await world.ready();
  const check = await world.startEnvoy('check');
  const push = await world.startEnvoy('push');
  const attempt = await world.startEnvoy('attempt');
  account.line(`identity provider ${world.provider.issuer}, upstream https on port ${world.upstream.port},`);
  account.line(`Envoy ${check.envoy.version}, one for each door: check ${check.url},`);
  account.line(`push ${push.url}, attempt ${attempt.url}`);
  account.line(`token calls: ${world.provider.tokenCalls}, at the start of bearerd, before any request`);

  async function step(what: string, expected: number, run: () => Promise<readonly Answer[]>): Promise<void> {
    const before = world.provider.tokenCalls;
    account.step(what);
    const answers = await run();
    const wrong = answers.filter(({ status }) => status !== expected);
    const tokenCalls = world.provider.tokenCalls - before;
    shown.push({ what, requests: answers.length, tokenCalls, failures: wrong.length });
    account.line(
      `${answers.length} ${answers.length === 1 ? 'request' : 'requests'}, ${answers.length - wrong.length} answered ${expected}, token calls: ${tokenCalls}`,
    );
    if (wrong.length > 0) throw new Error(`${what}: answered ${wrong[0]!.status}: ${wrong[0]!.body.trim()}`);
  }
  const one = async (door: GatedEnvoy, path = '/v1/orders') => {
    const answer = await door.send(path);
    account.line(
      `GET http://${ORDERS}${path}, no auth header → ${answer.status} in ${answer.ms.toFixed(1)} ms`,
    );
    if (answer.status === 200) account.line(`the upstream received ${answer.body.trim()}`);
    return [answer];
  };
  const many = async (door: GatedEnvoy, count: number) => {
    const answers: Answer[] = [];
    for (let i = 0; i < count; i++) {
      answers.push(await door.send('/v1/orders'));
      if (i % 10 === 9) account.progress(`${i + 1} of ${count}`);
    }
    return answers;
  };

  await step('the check door: Envoy asks bearerd about each request', 200, () => one(check));
  await step('the push door: Envoy has the credential and asks nobody', 200, () => one(push));
  await step('100 requests, no further token call', 200, () => many(push, 100));
  if (world.provider.tokenCalls !== 1)
    throw new Error(`${world.provider.tokenCalls} token calls instead of one`);

  await sleep(200);
  await step('the token is revoked at the upstream; the same request is healed', 200, async () => {
    const refusedBefore = world.upstream.refused;
    world.upstream.revoke();
    const answers = await one(push);
    account.line(
      `inside Envoy the upstream refused ${world.upstream.refused - refusedBefore} attempt(s); the app saw none`,
    );
    return answers;
  });
  await step(
    'the attempt door: Envoy asks about each attempt, a revoked token heals at once',
    200,
    async () => {
      const before = await one(attempt);
      world.upstream.revoke();
      return [...before, ...(await one(attempt))];
    },
  );

  await step('the identity provider is stopped; requests go on', 200, async () => {
    await world.provider.stop();
    return [...(await many(check, 50)), ...(await many(push, 50))];
  });
  await step('bearerd is killed; the push door goes on', 200, async () => {
    bearerd.child.kill('SIGKILL');
    await bearerd.exited;
    return many(push, 50);
  });
  await step('meanwhile the check door fails closed', 503, () => one(check));
  await step('bearerd and the provider are back', 200, async () => {
    await world.provider.start();
    bearerd = await world.startBearerd();
    const begun = performance.now();
    await world.ready();
    account.line(`a credential again ${(performance.now() - begun).toFixed(0)} ms after the start`);
    // Envoy connects again by its own back-off.
    for (let i = 0; i < 100 && (await check.send('/v1/orders')).status !== 200; i++) await sleep(50);
    return [...(await one(check)), ...(await one(push))];
  });

  account.title('Shown');
  account.table([
    ['what', 'requests', 'token calls', 'unexpected answers'],
    ...shown.map(({ what, ...row }) => [what, ...Object.values(row).map(String)]),
  ]);
  if (world.upstream.doubled > 0) throw new Error('a request had two Authorization headers');
  if (values.keep) {
    account.title('Left running; end it with Ctrl-C. Try:');
    for (const [door, { url }] of Object.entries({ check, push, attempt })) {
      account.line(`curl -i -H 'Host: ${ORDERS}' ${url}/v1/orders   # ${door} door`);
    }
    account.line(`npx bearerd status --watch --config ${world.configFile}`);
    isTold = true;
    await interrupted;
  }
}
