// Many pods that follow one bundle, in one thread, each with a connection and a pace of its own, against one static server in
// another.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAuthority } from '../../demo/certificates.ts';
import { createPolicyBundle } from '../../src/bundle/policy-bundle.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { nullObserver, type Observer } from '../../src/telemetry/observer.ts';
import { startBundleServerThread } from './bundle-server-thread.ts';
import { BUNDLE_NAME, createBundleSigner } from './policy-bundles.ts';

export interface BundleFleet {
  readonly pods: number;
  readonly pollMs: number;
  /** Policies of the bundle; some 150 bytes each. */
  readonly policies: number;
}

export interface BundleFleetFigures {
  readonly bundleBytes: number;
  /** While nothing changes. */
  readonly requestsPerSecond: number;
  readonly peakRequestsPerSecond: number;
  readonly unchangedShare: number;
  /** On the wire with TLS, both ways, a poll without a change. */
  readonly bytesPerPoll: number;
  readonly bytesPerSecond: number;
  /** From the moment when the server has a new one until the half, 99 % and all have it. */
  readonly rollout: { readonly halfMs: number; readonly mostMs: number; readonly allMs: number };
  /** On the wire from then on until all have it. */
  readonly rolloutBytes: number;
  /** From then on: polls without an answer that could be used, by reason. More than a few, and the machine is too busy for the fleet. */
  readonly refused: Readonly<Record<string, number>>;
}

export async function runBundleFleet(
  { pods, pollMs, policies }: BundleFleet,
  progress: (text: string) => void = () => {},
): Promise<BundleFleetFigures> {
  const folder = await mkdtemp(join(tmpdir(), 'bearerd-bundle-fleet-'));
  const authority = await createAuthority(folder);
  const server = await startBundleServerThread(authority);
  const signer = createBundleSigner();
  const keys = join(folder, 'keys.pem');
  await writeFile(keys, signer.publicPem);
  const files = { 'policies.yaml': policyText(policies) };
  const first = await signer.sign(1, files);
  await server.serve(first);

  const takenAt: number[] = [];
  const refusals = new Map<string, number>();
  const observer: Observer = {
    ...nullObserver,
    inputRefused: (_, reason) => void refusals.set(reason, (refusals.get(reason) ?? 0) + 1),
  };
  const fleet = Array.from({ length: pods }, () =>
    createPolicyBundle(
      { url: server.url, name: BUNDLE_NAME, keys, caFile: authority.ca, pollMs },
      {
        ...{ clock: systemClock, env: {}, observer, random: Math.random, stateDir: undefined },
        take: async ({ serial }) => {
          if (serial === 2) takenAt.push(performance.now());
        },
      },
    ),
  );
  try {
    // Pods are started one after the other.
    for (const [i, pod] of fleet.entries()) {
      pod.start();
      if (i % 20 === 19) await sleep((20 * pollMs) / pods);
    }
    for (let i = 1, without = pods; without > 0; i++) {
      without = fleet.filter(({ current }) => current === undefined).length;
      if (i % 100 === 0) progress(`${without} have none yet; refused: ${JSON.stringify([...refusals])}`);
      await sleep(50);
    }
    progress(`all have the first; a poll without a change is measured`);
    refusals.clear();

    const before = await server.figures();
    const perSecond: number[] = [];
    const begun = performance.now();
    let now = before;
    while (performance.now() - begun < pollMs) {
      await sleep(1_000);
      const last = now.requests;
      now = await server.figures();
      perSecond.push(now.requests - last);
    }
    const seconds = (performance.now() - begun) / 1_000;
    const requests = now.requests - before.requests;
    const unchanged = now.unchanged - before.unchanged;
    const bytes = now.bytes - before.bytes;
    const then = await server.serve(await signer.sign(2, files));
    const published = performance.now();
    progress('a second one is published');
    for (let i = 1; takenAt.length < pods; i++) {
      await sleep(20);
      if (i % 500 === 0)
        progress(`${takenAt.length} of ${pods} have it; refused: ${JSON.stringify([...refusals])}`);
    }
    const after = (share: number) => takenAt[Math.ceil(share * pods) - 1]! - published;
    return {
      bundleBytes: first.length,
      requestsPerSecond: requests / seconds,
      peakRequestsPerSecond: Math.max(...perSecond),
      unchangedShare: unchanged / requests,
      bytesPerPoll: bytes / requests,
      bytesPerSecond: bytes / seconds,
      rollout: { halfMs: after(0.5), mostMs: after(0.99), allMs: after(1) },
      rolloutBytes: (await server.figures()).bytes - then.bytes,
      refused: Object.fromEntries(refusals),
    };
  } finally {
    await Promise.all(fleet.map((pod) => pod.stop()));
    await server.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}

function policyText(count: number): string {
  const names = Array.from({ length: count }, (_, i) => `service-${i}`);
  return `version: 1
sources:
${names.map((name) => `  ${name}: { static: { value: { file: ${name}-key } } }\n`).join('')}outbound:
${names.map((name) => `  - { name: ${name}, match: { services: [${name}.prod] }, inject: { source: ${name} } }\n`).join('')}`;
}
