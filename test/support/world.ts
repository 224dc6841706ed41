// The demo's parts with a running bearerd, for one test and ended with it.
import type { TestContext } from 'node:test';
import { createWorld, type World, type WorldOptions } from '../../demo/world.ts';

export async function startedWorld(t: TestContext, options: WorldOptions = {}): Promise<World> {
  const world = await createWorld(options);
  t.after(() => world.stop());
  await world.startBearerd();
  return world;
}
