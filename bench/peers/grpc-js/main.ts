// The usual ext_authz server in Node: @grpc/grpc-js and @grpc/proto-loader, the message decoded in full, one host lookup
// in a map, the answer built for each call.
//   node main.ts SOCKET POLICIES.json
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { PeerPolicy } from '../../world.ts';

const [socket, file] = process.argv.slice(2);
const policies: PeerPolicy[] = JSON.parse(readFileSync(file!, 'utf8'));
const exact = new Map<string, PeerPolicy>();
const wildcard = new Map<string, PeerPolicy>();
const paths = new Map<string, Map<string, PeerPolicy>>();
for (const policy of policies) {
  if (policy.kind === 'exact') exact.set(policy.host, policy);
  else if (policy.kind === 'wildcard') wildcard.set(policy.host, policy);
  else {
    const byPath = paths.get(policy.host) ?? new Map<string, PeerPolicy>();
    paths.set(policy.host, byPath.set(policy.path, policy));
  }
}

function find(host: string, rawPath: string): PeerPolicy | undefined {
  const own = exact.get(host);
  if (own !== undefined) return own;
  const byPath = paths.get(host);
  if (byPath !== undefined) {
    for (let path = rawPath.split('?', 1)[0]!; path !== ''; path = path.slice(0, path.lastIndexOf('/'))) {
      const policy = byPath.get(path);
      if (policy !== undefined) return policy;
    }
    return undefined;
  }
  for (let dot = host.indexOf('.'); dot !== -1; dot = host.indexOf('.', dot + 1)) {
    const policy = wildcard.get(host.slice(dot + 1));
    if (policy !== undefined) return policy;
  }
  return undefined;
}

interface Request {
  attributes?: {
    request?: { http?: { host: string; path: string } };
    contextExtensions?: Record<string, string>;
  };
}

const protos = join(import.meta.dirname, '../../../node_modules/@grpc/grpc-js-xds/deps');
const definition = loadSync('envoy/service/auth/v3/external_auth.proto', {
  includeDirs: ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((folder) =>
    join(protos, folder),
  ),
  longs: Number,
  defaults: true,
});
const service = (
  grpc.loadPackageDefinition(definition) as unknown as {
    envoy: { service: { auth: { v3: { Authorization: { service: grpc.ServiceDefinition } } } } };
  }
).envoy.service.auth.v3.Authorization.service;

const server = new grpc.Server();
server.addService(service, {
  Check(call: grpc.ServerUnaryCall<Request, object>, answer: grpc.sendUnaryData<object>) {
    const { attributes } = call.request;
    const http = attributes?.request?.http;
    const policy = http && find(http.host, http.path);
    if (policy === undefined || attributes?.contextExtensions?.['policy'] !== policy.name) {
      return answer(null, { status: { code: 0 }, okResponse: {} });
    }
    answer(null, {
      status: { code: 0 },
      okResponse: {
        headers: [
          {
            header: { key: 'authorization', value: `Bearer ${policy.token}` },
            append: { value: false },
            appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD',
          },
        ],
      },
    });
  },
});
server.bindAsync(`unix:${socket}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  process.stdout.write('listening\n');
});
