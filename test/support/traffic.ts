// Requests at a steady rate through several doors at once, each answer kept with its time, and what they say together.
import { setTimeout as sleep } from 'node:timers/promises';
import type { GatedEnvoy } from '../../demo/world.ts';

export interface Sent {
  readonly door: string;
  /** Epoch ms, when the request left. */
  readonly at: number;
  readonly ms: number;
  readonly status: number;
  /** The body of what was not 200. */
  readonly told: string;
  readonly retryAfter: string | undefined;
  /** Of Envoy, where it tells it in its answers. */
  readonly requestId: string | undefined;
}

export interface Traffic {
  readonly sent: readonly Sent[];
  /** Sends no more; resolves when every answer is here. */
  stop(): Promise<readonly Sent[]>;
}

/** `perSecond` over all doors, one after the other. */
export function startTraffic(
  doors: ReadonlyMap<string, Pick<GatedEnvoy, 'send'>>,
  perSecond: number,
  path = '/v1/orders',
): Traffic {
  const sent: Sent[] = [];
  const pending = new Set<Promise<void>>();
  const names = [...doors.keys()];
  let stopped = false;

  async function one(door: string): Promise<void> {
    const at = Date.now();
    const answer = await doors.get(door)!.send(path);
    sent.push({
      door,
      at,
      ms: answer.ms,
      status: answer.status,
      told: answer.status === 200 ? '' : answer.body.trim(),
      retryAfter: answer.headers['retry-after'] as string | undefined,
      requestId: answer.headers['x-request-id'] as string | undefined,
    });
  }

  async function run(): Promise<void> {
    const begun = performance.now();
    for (let i = 0; !stopped; i++) {
      const wait = begun + (i * 1_000) / perSecond - performance.now();
      if (wait > 1) await sleep(wait);
      const request = one(names[i % names.length]!).catch((error: Error) => {
        sent.push({
          door: names[i % names.length]!,
          at: Date.now(),
          ms: 0,
          status: 0,
          told: error.message,
          retryAfter: undefined,
          requestId: undefined,
        });
      });
      pending.add(request);
      void request.finally(() => pending.delete(request));
    }
    await Promise.all(pending);
  }
  const running = run();
  return {
    sent,
    async stop() {
      stopped = true;
      await running;
      return sent;
    },
  };
}
