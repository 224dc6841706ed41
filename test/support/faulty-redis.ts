// A real Valkey behind a network that fails on demand, for all tests of a file.
import { after } from 'node:test';
import { type StartedRedis, startRedis } from './redis.ts';
import { type FaultyWay, startToxiproxy } from './toxiproxy.ts';

export interface FaultyRedis {
  /** Straight. */
  readonly redis: StartedRedis;
  readonly way: FaultyWay;
}

/** Ends with the file's tests. */
export async function startFaultyRedis(): Promise<FaultyRedis> {
  const redis = await startRedis();
  const toxiproxy = await startToxiproxy();
  after(async () => {
    await toxiproxy.stop();
    await redis.stop();
  });
  return { redis, way: await toxiproxy.proxy('redis', redis.port) };
}
