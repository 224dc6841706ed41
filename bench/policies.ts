// A warm Check with 10,000 policies against one with 10: the same share of matched requests, spread over all policies.
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { OutboundConfig } from '../src/config/config.ts';
import type { Credential } from '../src/credential/credential.ts';
import { createCheck } from '../src/doors/check/check.ts';
import { createCarriedRing } from '../src/doors/feedback/carried-ring.ts';
import { systemClock } from '../src/lib/clock.ts';
import { Secret } from '../src/lib/secret.ts';
import { compilePolicies } from '../src/policy/compile.ts';
import type { UnaryCall } from '../src/server/front.ts';
import { nullObserver } from '../src/telemetry/observer.ts';
import type { Figure } from './run.ts';

const REQUESTS = 2_000;
const CALLS = 200_000;
const ROUNDS = 5;
/** Of one host that has many path rules in the large table. */
const PATH_RULES = 3_000;

interface Side {
  readonly run: () => number;
}

export async function policiesRatio(): Promise<readonly Figure[]> {
  const few = createSide(10);
  const many = createSide(10_000);
  few.run();
  many.run();
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const [a, b] = round % 2 === 0 ? [few.run(), many.run()] : [many.run(), few.run()].reverse();
    ratios.push(a! / b!);
  }
  ratios.sort((a, b) => a - b);
  return [
    {
      name: 'check_core_policies_10000_vs_10',
      value: ratios[ROUNDS >> 1]!,
      unit: 'ratio',
      range: [ratios[0]!, ratios.at(-1)!],
    },
  ];
}

/** A third exact hosts, a third wildcards, a third path rules of one host (the rest of it, where it is full, exact). */
function createSide(count: number): Side {
  const outbound: OutboundConfig[] = [];
  const targets: { host: string; path: string; policy: string }[] = [];
  for (let i = 0; i < count; i++) {
    const name = `p${i}`;
    const kind = i % 3;
    const isPath = kind === 2 && i / 3 < PATH_RULES;
    const host = kind === 1 ? `w${i}.example.com` : isPath ? 'paths.example.com' : `h${i}.example.com`;
    const path = `/v1/resource-${i}`;
    outbound.push({
      name,
      match: {
        hosts: [{ name: host, wildcard: kind === 1, port: undefined }],
        methods: undefined,
        paths: isPath ? [{ kind: 'prefix', value: path }] : undefined,
      },
      inject: { source: `s${i % 1_000}`, header: 'authorization', prefix: 'Bearer ' },
      healOn: '401',
      onFailure: 'deny',
      neverStale: false,
    });
    targets.push({ host: kind === 1 ? `a.${host}` : host, path: `${path}/items?page=2`, policy: name });
  }
  const credentials = new Map<string, Credential>();
  for (let i = 0; i < Math.min(count, 1_000); i++) {
    credentials.set(`s${i}`, {
      source: `s${i}`,
      value: new Secret('t'.repeat(900)),
      generation: i + 1,
      issuedAt: 0,
      expiresAt: Number.POSITIVE_INFINITY,
      usableUntil: Number.POSITIVE_INFINITY,
      usableUntilMonotonic: Number.POSITIVE_INFINITY,
    });
  }
  const check = createCheck({
    policies: compilePolicies({ outbound, unmatched: 'pass', ambiguousPath: 'no_match' }),
    store: { peek: (source: string) => credentials.get(source) } as never,
    observer: nullObserver,
    clock: systemClock,
    maxWaitMs: 3_000,
    carried: createCarriedRing(),
  });
  const requests = Array.from({ length: REQUESTS }, (_, i) => {
    const target = targets[Math.floor((i * count) / REQUESTS) % count]!;
    return encodeCheckRequest({ ...target, id: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}` });
  });
  const call: UnaryCall = { timeoutMs: 4_300, signal: new AbortController().signal };
  for (const request of requests) {
    const answer = check(request, call);
    if (!(answer instanceof Uint8Array) || answer.length < 900)
      throw new Error('a Check was not answered with a token');
  }
  return {
    run() {
      const begun = performance.now();
      for (let i = 0; i < CALLS; i++) check(requests[i % REQUESTS]!, call);
      return performance.now() - begun;
    },
  };
}

/** As Envoy sends it for the generated filter: only x-request-id among the headers, the policy's mark. */
function encodeCheckRequest(target: { host: string; path: string; policy: string; id: string }): Uint8Array {
  const entry = (key: string, value: string) =>
    new BinaryWriter().tag(1, 2).string(key).tag(2, 2).string(value).finish();
  const http = new BinaryWriter()
    .tag(1, 2)
    .string('1234567890123456789')
    .tag(2, 2)
    .string('GET')
    .tag(3, 2)
    .bytes(entry('x-request-id', target.id))
    .tag(4, 2)
    .string(target.path)
    .tag(5, 2)
    .string(target.host)
    .tag(6, 2)
    .string('http')
    .tag(10, 2)
    .string('HTTP/1.1')
    .finish();
  const request = new BinaryWriter().tag(2, 2).bytes(http).finish();
  const attributes = new BinaryWriter()
    .tag(4, 2)
    .bytes(request)
    .tag(10, 2)
    .bytes(entry('policy', target.policy))
    .finish();
  return new BinaryWriter().tag(1, 2).bytes(attributes).finish();
}
