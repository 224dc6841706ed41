// Hosts outside the mesh by TLS as generated, on a real istiod: the sidecar sends a request to nobody but the host itself.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createAuthority } from '../../demo/certificates.ts';
import { send } from '../../demo/world.ts';
import type { StartedEnvoy } from '../support/envoy.ts';
import {
  generateIstio,
  generateIstioText,
  type Manifest,
  type Mesh,
  serviceEntry,
  skipMesh,
  startMesh,
} from '../support/mesh.ts';
import { type IdentityServer, startIdentityServer } from '../support/mesh-identity.ts';
import { freePort } from '../support/ports.ts';

const NAMESPACE = 'shop';
/** Whose certificate the upstream of each host shows. */
const SHOWN = {
  'own.example.com': 'own.example.com',
  'wild.example.com': '*.example.com',
  'other.example.com': 'somebody.example.org',
  'older.example.com': 'older.example.com',
};
/** With a rule of the team that says nothing of TLS. */
const OLDER = 'older.example.com';

describe('hosts outside a mesh with a real istiod', { skip: skipMesh }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-outside-'));
  const upstreams: ReturnType<typeof createServer>[] = [];
  let flags: string[];
  let generated: Manifest[];
  let envoy: StartedEnvoy;
  let mesh: Mesh;
  let secrets: IdentityServer;
  let port: number;

  before(async () => {
    const authority = await createAuthority(folder);
    const hosts = Object.keys(SHOWN);
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const config = file(
      'bearerd.yaml',
      `version: 1
listen: { check: "unix:///run/bearerd/check.sock", xds: "unix:///run/bearerd/xds.sock" }
sources: { key: { static: { value: { env: KEY } } } }
outbound:
  - name: api
    match: { hosts: [${hosts}] }
    inject: { source: key }
    resilience: { connections: { idle_timeout: 60s } }
`,
    );
    const tls = file('tls.yaml', hosts.map((host) => `${host}: { ca: ${authority.ca} }\n`).join(''));
    mesh = await startMesh(NAMESPACE);
    port = await freePort();
    for (const [host, name] of Object.entries(SHOWN)) {
      const { cert, key } = await authority.issue(name, 'server');
      const upstream = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (_, response) =>
        response.end(host),
      );
      await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
      upstreams.push(upstream);
      const there = { address: '127.0.0.1', port: (upstream.address() as AddressInfo).port };
      await mesh.apply([serviceEntry(NAMESPACE, host, port, there)]);
    }
    // Older, and of the same age before it by its name.
    await mesh.apply([
      {
        apiVersion: 'networking.istio.io/v1',
        kind: 'DestinationRule',
        metadata: { name: 'a-team', namespace: NAMESPACE },
        spec: {
          host: OLDER,
          exportTo: ['.'],
          trafficPolicy: { connectionPool: { http: { idleTimeout: '30s' } } },
        },
      },
    ]);
    flags = ['--config', config, '--namespace', NAMESPACE, '--tls', tls, '--door', 'check'];
    // Without what asks bearerd, which is not there.
    generated = (await generateIstio(...flags)).filter(
      ({ kind, metadata }) => kind === 'DestinationRule' || metadata.name === 'bearerd-upstreams',
    );
    await mesh.apply(generated);
    secrets = await startIdentityServer(await mesh.identity('default'), {
      [authority.ca]: readFileSync(authority.ca, 'utf8'),
    });
    envoy = await mesh.istio.joinEnvoy(NAMESPACE, port, undefined, [secrets.cluster]);
  });
  after(async () => {
    await mesh?.stop();
    secrets?.stop();
    for (const upstream of upstreams) upstream.close().closeAllConnections();
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = (host: string) => send(port, '/', { host }).catch(() => ({ status: 0, body: '' }));

  async function reachesItselfAlone(): Promise<void> {
    for (const host of ['own.example.com', 'wild.example.com'])
      await mesh.until(async () => (await ask(host)).body === host, host);
    assert.equal((await ask('other.example.com')).status, 503);
    await mesh.assertAccepted();
  }

  test('somebody else with a certificate of the same authority gets no request', reachesItselfAlone);

  test('an older rule of the team for the namespace is taken instead, with no TLS, and a dump shows it', async () => {
    const dump = join(folder, 'dump.json');
    writeFileSync(dump, await envoy.admin('/config_dump'));
    const text = await generateIstioText(...flags, '--from-cluster', dump);
    assert.match(text, /^# NO TLS in --from-cluster: older\.example\.com\. /m);
  });

  test('nor by a rule that a team has, whose check of the name stands in what is patched', async () => {
    const stated = async () => {
      const dump = await envoy.admin('/config_dump?resource=dynamic_active_clusters');
      return dump.match(/"sni":/g)?.length ?? 0;
    };
    assert.equal(await stated(), 3);
    const own = structuredClone(generated.filter(({ kind }) => kind === 'DestinationRule')) as unknown as {
      spec: { trafficPolicy: { tls: object } };
    }[];
    for (const { spec } of own)
      Object.assign(spec.trafficPolicy.tls, { sni: undefined, subjectAltNames: undefined });
    await mesh.apply(own);
    await mesh.until(async () => (await stated()) === 0, 'the rules of the team');
    await reachesItselfAlone();
  });
});
