// What is asked and what is right: policies, credentials and requests of the benchmark, the same for every server.
import { BinaryWriter } from '@bufbuild/protobuf/wire';

/** As the peers read it. */
export interface PeerPolicy {
  readonly name: string;
  readonly kind: 'exact' | 'wildcard' | 'path';
  /** A wildcard without its `*.`. */
  readonly host: string;
  readonly path: string;
  readonly token: string;
}

export interface BenchRequest {
  /** Encoded CheckRequest. */
  readonly message: Uint8Array;
  readonly token: string;
  readonly host: string;
  readonly path: string;
}

export interface BenchWorld {
  readonly policies: readonly PeerPolicy[];
  readonly requests: readonly BenchRequest[];
  /** bearerd.yaml without `listen`. */
  readonly configuration: string;
}

const SOURCES = 1_000;
const REQUESTS = 2_000;
/** Of the one host that has many path rules. */
const MAX_PATH_RULES = 3_000;
const TOKEN_BYTES = 900;

/** A third exact hosts, a third wildcards, a third paths of one host (at most 3,000; the rest of it are exact hosts). */
export function createBenchWorld(count: number): BenchWorld {
  const policies = Array.from({ length: count }, (_, i) => createPolicy(i));
  const requests = Array.from({ length: REQUESTS }, (_, i) => {
    const policy = policies[Math.floor((i * count) / REQUESTS) % count]!;
    const host = policy.kind === 'wildcard' ? `a.${policy.host}` : policy.host;
    const path = `${policy.path}/items?page=${i}`;
    return { message: encodeCheckRequest(policy.name, host, path, i), token: policy.token, host, path };
  });
  return { policies, requests, configuration: configurationOf(policies) };
}

function createPolicy(i: number): PeerPolicy {
  const isPath = i % 3 === 2 && i / 3 < MAX_PATH_RULES;
  const kind = i % 3 === 1 ? 'wildcard' : isPath ? 'path' : 'exact';
  const host = { exact: `h${i}.example.com`, wildcard: `w${i}.example.com`, path: 'paths.example.com' }[kind];
  return { name: `p${i}`, kind, host, path: `/v1/resource-${i}`, token: tokenOf(i % SOURCES) };
}

function tokenOf(source: number): string {
  const mark = `token-${source}-`;
  return mark + 'x'.repeat(TOKEN_BYTES - mark.length);
}

function configurationOf(policies: readonly PeerPolicy[]): string {
  const sources = Array.from(
    { length: Math.min(SOURCES, policies.length) },
    (_, i) => `  s${i}: { static: { value: { inline: ${tokenOf(i)} } } }`,
  );
  const outbound = policies.map(({ name, kind, host, path }, i) => {
    const hosts = kind === 'wildcard' ? `"*.${host}"` : host;
    const paths = kind === 'path' ? `, paths: [${path}/]` : '';
    // heal_on, so that the ring of carried credentials is part of what is measured.
    return `  - { name: ${name}, match: { hosts: [${hosts}]${paths} }, inject: { source: s${i % SOURCES} }, heal_on: 401 }`;
  });
  return ['mode: development', 'sources:', ...sources, 'outbound:', ...outbound, ''].join('\n');
}

/** As Envoy 1.40 sends it with the generated filter: addresses, time, id, no header but x-request-id, the route's mark. */
export function encodeCheckRequest(
  policy: string,
  host: string,
  path: string,
  i: number,
  headers: Readonly<Record<string, string>> = {},
): Uint8Array {
  const entry = (key: string, value: string) =>
    new BinaryWriter().tag(1, 2).string(key).tag(2, 2).string(value).finish();
  const peer = (address: string, port: number) => {
    const socket = new BinaryWriter().tag(2, 2).string(address).tag(3, 0).uint32(port).finish();
    const core = new BinaryWriter().tag(1, 2).bytes(socket).finish();
    return new BinaryWriter().tag(1, 2).bytes(core).finish();
  };
  const id = `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`;
  const http = new BinaryWriter()
    .tag(1, 2)
    .string(String(1_234_567_890_123_456_789n + BigInt(i)))
    .tag(2, 2)
    .string('GET')
    .tag(3, 2)
    .bytes(entry('x-request-id', id));
  for (const [name, value] of Object.entries(headers)) http.tag(3, 2).bytes(entry(name, value));
  http.tag(4, 2).string(path).tag(5, 2).string(host).tag(6, 2).string('http').tag(10, 2).string('HTTP/1.1');
  const time = new BinaryWriter().tag(1, 0).int64(1_795_000_000).tag(2, 0).int32(i).finish();
  const request = new BinaryWriter().tag(1, 2).bytes(time).tag(2, 2).bytes(http.finish()).finish();
  const attributes = new BinaryWriter()
    .tag(1, 2)
    .bytes(peer('127.0.0.1', 40_000 + i))
    .tag(2, 2)
    .bytes(peer('127.0.0.1', 10_000))
    .tag(4, 2)
    .bytes(request)
    .tag(10, 2)
    .bytes(entry('policy', policy))
    .tag(11, 2) // metadata_context
    .bytes(new Uint8Array())
    .tag(13, 2) // route_metadata_context
    .bytes(new Uint8Array())
    .finish();
  return new BinaryWriter().tag(1, 2).bytes(attributes).finish();
}
