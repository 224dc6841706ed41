// An app of a mesh that bearerd checks the callers of: the app itself, the issuer of its callers' tokens, and bearerd's process.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startUpstream } from './loopback.ts';
import { type StartedProcess, startProcess } from './process.ts';
import { createTestKey, jwkSet, signToken } from './token-issuer.ts';

export interface MeshApp {
  readonly configFile: string;
  readonly port: number;
  /** Headers of each request that came through; a test empties it. */
  readonly arrived: IncomingHttpHeaders[];
  /** Of alice, for an hour, and whatever else it says. */
  token(claims?: object): string;
  /** The same, signed with another key under the same name. */
  foreignToken(claims?: object): string;
  /** `policies`: lines below `inbound.policies`; `settings`: more of `inbound`. */
  configure(policies: string, settings?: string): void;
  /** In the place of the one before. */
  startBearerd(): Promise<void>;
  stopBearerd(): Promise<void>;
  stop(): Promise<void>;
}

/** `check`: port of bearerd's listener. */
export async function startMeshApp(check: number): Promise<MeshApp> {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-mesh-'));
  const configFile = join(folder, 'bearerd.yaml');
  const [key, stranger] = [createTestKey('one'), createTestKey('one')];
  const exp = Math.floor(Date.now() / 1_000) + 3_600;
  const claims = { iss: 'https://idp.example.com', aud: 'orders', sub: 'alice', exp };
  writeFileSync(join(folder, 'jwks.json'), jwkSet(key));
  const arrived: IncomingHttpHeaders[] = [];
  const ends: (() => void)[] = [];
  const port = await startUpstream({ after: (end) => ends.push(end) }, (request, response) => {
    arrived.push(request.headers);
    response.end('{}');
  });
  let bearerd: StartedProcess | undefined;

  return {
    configFile,
    port,
    arrived,
    token: (more = {}) => signToken(key, { ...claims, ...more }),
    foreignToken: (more = {}) => signToken(stranger, { ...claims, ...more }),
    configure(policies, settings = '') {
      writeFileSync(
        configFile,
        `version: 1
listen: { check_inbound: "127.0.0.1:${check}" }
inbound:
  issuers:
    idp: { issuer: "${claims.iss}", jwks_file: jwks.json, audience: orders }
${settings}  policies:
${policies}`,
      );
    },
    async startBearerd() {
      await bearerd?.stop();
      bearerd = await startProcess(process.execPath, ['dist/main.js', 'serve', '--config', configFile]);
      await bearerd.waitForOutput(/"state":"listening"/);
    },
    async stopBearerd() {
      await bearerd?.stop();
    },
    async stop() {
      await bearerd?.stop();
      for (const end of ends) end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
