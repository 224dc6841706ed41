// A service account of a real kube-apiserver is the client of a real Keycloak: no secret anywhere.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { decodeJwt } from 'jose';
import { type Authority, createAuthority } from '../../demo/certificates.ts';
import { keycloakMissing } from '../../tools/parts/keycloak.ts';
import { kubernetesParts } from '../../tools/parts/kubernetes.ts';
import { issued, issueFailure } from '../support/issue.ts';
import { type Keycloak, startKeycloak } from '../support/keycloak.ts';
import { type Kubernetes, startKubernetes } from '../support/kubernetes.ts';
import { sourceOf } from '../support/token-source.ts';

const parts = await kubernetesParts();
const missing = parts ? await keycloakMissing() : 'npm run parts:kubernetes builds it';

describe('a projected service account token at Keycloak', { skip: missing ?? false }, () => {
  let cluster: Kubernetes;
  let authority: Authority;
  let keycloak: Keycloak;

  before(async () => {
    cluster = await startKubernetes(parts!);
    authority = await createAuthority(cluster.folder, 'keycloak authority');
    keycloak = await startKeycloak({
      authority,
      trusted: [cluster.ca],
      identityProviders: { kubernetes: { issuer: cluster.issuer } },
    });
    await cluster.createNamespace('shop');
    await cluster.kubectl(['create', 'serviceaccount', 'orders', '-n', 'shop']);
    // Keycloak reads discovery document and keys without an account of the cluster.
    await cluster.kubectl([
      ...['create', 'clusterrolebinding', 'keys', '--group=system:unauthenticated'],
      '--clusterrole=system:service-account-issuer-discovery',
    ]);
  });
  after(async () => {
    await keycloak?.stop();
    await cluster?.stop();
  });

  /** As the kubelet writes it for a projected volume. */
  async function projected(account: string, audience: string) {
    const token = await cluster.kubectl(['create', 'token', account, '-n', 'shop', '--audience', audience]);
    const path = join(cluster.folder, `${account}.jwt`);
    writeFileSync(path, token);
    return sourceOf({
      client_credentials: {
        issuer: keycloak.issuer,
        ca_file: authority.ca,
        client_id: 'service-account',
        client_assertion: { file: path },
      },
    });
  }

  test('gets a token, again and again', async () => {
    for (let i = 0; i < 2; i++) {
      const token = await issued(await projected('orders', keycloak.issuer));
      assert.equal(decodeJwt(token.value.reveal())['azp'], 'service-account');
    }
  });

  test('for another audience it is source_rejected', async () => {
    const error = await issueFailure(await projected('orders', 'https://elsewhere.example.com'));
    assert.equal(error.code, 'source_rejected');
  });

  test('another service account is source_rejected', async () => {
    const error = await issueFailure(await projected('default', keycloak.issuer));
    assert.equal(error.code, 'source_rejected');
  });
});
