// The Helm chart by helm itself: the objects of the generator, and nothing misspelt goes through.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parse, parseAllDocuments } from 'yaml';
import { createAuthority } from '../../demo/certificates.ts';
import { builtHelm } from '../../tools/parts/helm.ts';
import { CHART, renderChart } from '../support/chart.ts';

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: { 'sidecar.yaml': unknown };
  readonly spec?: { template?: { metadata: { annotations?: Record<string, unknown> } } };
}

const helm = await builtHelm();
const run = promisify(execFile);
const SIDECAR = { secret: 'keys', token_audience: 'idp', resources: { limits: { memory: '300Mi' } } };

describe('the chart', { skip: helm ? false : 'npm run parts:kubernetes builds helm' }, () => {
  test('passes helm lint with nothing to say', async () => {
    const { stdout } = await run(helm!, ['lint', '--strict', CHART]);
    assert.match(stdout, /1 chart\(s\) linted, 0 chart\(s\) failed/);
    assert.doesNotMatch(stdout, /WARNING|ERROR/);
  });

  for (const by of ['a Secret', 'cert-manager']) {
    test(`has the objects of the generator, field by field, with the certificate by ${by}`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'bearerd-chart-'));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      const sidecar = join(folder, 'sidecar.yaml');
      writeFileSync(sidecar, JSON.stringify({ image: 'registry/bearerd:2', ...SIDECAR }));
      const own = by === 'a Secret' ? (await createAuthority(folder)).ca : undefined;
      const generated = await run(process.execPath, [
        ...['dist/main.js', 'generate', 'kubernetes', 'webhook', '--sidecar', sidecar, '--monitoring'],
        ...['--failure-policy', 'Fail', ...(own === undefined ? [] : ['--ca', own])],
      ]);
      const expected = manifests(generated.stdout).filter(({ kind }) => kind !== 'Namespace');
      const caBundle = expected.map(bundleOf).find((bundle) => bundle !== undefined) ?? '';
      const rendered = await renderChart(helm!, {
        ...{ image: 'registry/bearerd:2', sidecar: SIDECAR, failurePolicy: 'Fail', caBundle },
        ...{ podMonitor: true, prometheusRule: true },
      });
      assert.equal(caBundle === '', by === 'cert-manager');
      assert.deepEqual(sorted(manifests(rendered)), sorted(expected));
    });
  }

  test('leaves out what a value switches off, and has no monitoring unless asked for', async () => {
    const kinds = manifests(await renderChart(helm!, { networkPolicy: false, podDisruptionBudget: false }));
    assert.deepEqual(
      [...new Set(kinds.map(({ kind }) => kind))].sort(),
      [
        ...['Certificate', 'ConfigMap', 'Deployment', 'Issuer', 'MutatingWebhookConfiguration'],
        ...['Service', 'ServiceAccount'],
      ].sort(),
    );
  });

  for (const [what, values] of Object.entries({
    'a misspelt value': { failurePolcy: 'Fail' },
    'a misspelt key of the sidecar': { sidecar: { secrets: 'keys' } },
    'an unknown policy': { failurePolicy: 'Open' },
    'an authority that is not base64 in one line': { caBundle: '-----BEGIN CERTIFICATE-----\n' },
    'a type that does not fit': { networkPolicy: 'yes' },
  })) {
    test(`${what} is refused by the schema of its values`, async () => {
      await assert.rejects(renderChart(helm!, values), /values don't meet the specifications of the schema/);
    });
  }
});

/** Without what the text of the sidecar file, which is the same file in other words, makes different. */
function manifests(text: string): Manifest[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null)
    .map((manifest) => {
      if (manifest.data) manifest.data['sidecar.yaml'] = parse(manifest.data['sidecar.yaml'] as string);
      const annotations = manifest.spec?.template?.metadata.annotations;
      if (annotations?.['bearerd.io/sidecar-sha256'])
        annotations['bearerd.io/sidecar-sha256'] = /^[0-9a-f]{64}$/.test(
          String(annotations['bearerd.io/sidecar-sha256']),
        );
      return manifest;
    });
}

const sorted = (list: readonly Manifest[]): Manifest[] =>
  [...list].sort((a, b) => `${a.kind}/${a.metadata.name}`.localeCompare(`${b.kind}/${b.metadata.name}`));

function bundleOf(manifest: Manifest): string | undefined {
  const { webhooks } = manifest as unknown as { webhooks?: { clientConfig: { caBundle?: string } }[] };
  return webhooks?.[0]?.clientConfig.caBundle;
}
