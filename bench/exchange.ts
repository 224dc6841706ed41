// Per-user tokens: a whole Check in process, from the bytes that came to the bytes that go, for a user whose token is
// there; the first Check of a user; and a thousand at once for one. The provider is a loopback server of known delay.
import { createServer } from 'node:http';
import { startExchangeCheck } from '../test/support/exchange-check.ts';
import { type Figure, figureOf } from './figure.ts';
import { encodeCheckRequest } from './world.ts';

const USERS = 5_000;
const TOKEN_BYTES = 900;
const PROVIDER_MS = 20;
const ROUNDS = 5;
const HITS = 100_000;
const COLD = 50;

/** Answers each exchange with a token that names its subject, and tells how long each took it. */
async function startProvider() {
  const own = new Map<string, number>();
  let calls = 0;
  let delayMs = 0;
  const server = createServer((request, response) => {
    const since = performance.now();
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      calls++;
      const subject = new URLSearchParams(body).get('subject_token')!;
      const answer = () => {
        response.writeHead(200, { 'content-type': 'application/json' });
        const access_token = `for-${subject}`;
        response.end(JSON.stringify({ access_token, token_type: 'Bearer', expires_in: 3_600 }));
        own.set(subject, performance.now() - since);
      };
      if (delayMs === 0) answer();
      else setTimeout(answer, delayMs);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as { port: number }).port}/token`,
    calls: () => calls,
    ownMs: (subject: string) => own.get(subject)!,
    delay: (ms: number) => (delayMs = ms),
    stop: () => server.close().closeAllConnections(),
  };
}

export async function exchange(): Promise<readonly Figure[]> {
  const provider = await startProvider();
  const { store, check } = await startExchangeCheck(provider.endpoint, 64 << 20);
  const call = { timeoutMs: undefined, signal: new AbortController().signal };
  const ask = (subject: string, i: number) =>
    check(
      encodeCheckRequest('api', 'api.example.com', `/v1/${i}`, i, { authorization: `Bearer ${subject}` }),
      call,
    );
  const subjectOf = (name: string) => `${name}-`.padEnd(TOKEN_BYTES, 'x');

  try {
    const stampede = provider.calls();
    await Promise.all(Array.from({ length: 1_000 }, (_, i) => ask(subjectOf('one'), i)));
    const stampedeCalls = provider.calls() - stampede;

    provider.delay(PROVIDER_MS);
    const overheads: number[] = [];
    for (let i = 0; i < COLD; i++) {
      const subject = subjectOf(`cold-${i}`);
      const begun = performance.now();
      await ask(subject, i);
      overheads.push(performance.now() - begun - provider.ownMs(subject));
    }
    provider.delay(0);

    const messages = await fill();
    const hits: number[] = [];
    for (let round = 0; round < ROUNDS; round++) hits.push(measure(messages));
    return [
      figureOf('exchange_hit_us', hits, 'us', '15 or less'),
      figureOf('cold_first_token_overhead_ms', overheads, 'ms', '15 or less'),
      { name: 'stampede_token_calls', value: stampedeCalls, unit: 'calls', wanted: '1' },
    ];
  } finally {
    await store.stop();
    provider.stop();
  }

  async function fill(): Promise<readonly Uint8Array[]> {
    const messages: Uint8Array[] = [];
    for (let i = 0; i < USERS; i += 50) {
      const some = Array.from({ length: 50 }, (_, j) => subjectOf(`user-${i + j}`));
      await Promise.all(some.map((subject, j) => ask(subject, i + j)));
      messages.push(
        ...some.map((subject, j) =>
          encodeCheckRequest('api', 'api.example.com', `/v1/${i + j}`, i + j, {
            authorization: `Bearer ${subject}`,
          }),
        ),
      );
    }
    return messages;
  }

  /** Microseconds a Check. Each must be answered at once, with the token of its own user. */
  function measure(messages: readonly Uint8Array[]): number {
    let bytes = 0;
    // Processor time, since all of it is on this thread: what others do on the machine counts less.
    const begun = process.cpuUsage();
    for (let i = 0; i < HITS; i++) {
      const answer = check(messages[i % USERS]!, call);
      if (!(answer instanceof Uint8Array)) throw new Error('a Check of a known user had to wait');
      bytes += answer.length;
    }
    const { user, system } = process.cpuUsage(begun);
    const us = (user + system) / HITS;
    if (bytes < HITS * TOKEN_BYTES) throw new Error('answers without tokens');
    for (let i = 0; i < USERS; i += 97) {
      const text = Buffer.from(check(messages[i]!, call) as Uint8Array).toString('latin1');
      if (!text.includes(`Bearer for-user-${i}-`)) throw new Error(`user ${i} got another token`);
    }
    return us;
  }
}
