// Five sidecars, each a process with a host name and a mount of its own as in a pod: the query of docs/logs.md over what they
// wrote finds the one whose key is old, the one whose configuration is old and the one that has no credential.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { docBlocks } from '../support/doc-blocks.ts';
import { swapRing } from '../support/key-ring.ts';
import { startProcess } from '../support/process.ts';

const NODES = ['pod-1', 'pod-2', 'pod-3', 'pod-4', 'pod-5'];
const CONFIG = `version: 1
mode: development
listen: { check: "unix://FOLDER/check.sock" }
sources: { maps: { api_keys: { ring: ..data/ring.yaml } } }
outbound: [{ name: maps, match: { hosts: [maps.example.com] }, inject: { source: maps } }]
`;

test('of five sidecars the query finds whose key is old, whose configuration is old and who has no credential', async (t) => {
  for (const [program, ...args] of [
    ['jq', '--version'],
    ['unshare', '--uts', '--mount', 'true'],
  ] as const) {
    if (spawnSync(program, args).status !== 0) return t.skip(`needs ${program}, and the right to it`);
  }
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-fleet-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  // Each sidecar's own folder stands here.
  const here = join(folder, 'here');
  mkdirSync(here);
  const config = CONFIG.replace('FOLDER', here);
  const sidecars = await Promise.all(
    NODES.map(async (node) => {
      const own = join(folder, node);
      mkdirSync(own);
      writeFileSync(join(own, 'bearerd.yaml'), config);
      if (node !== 'pod-5') swapRing(own, [{ id: 'march', state: 'in_use' }]);
      const pod = `hostname ${node}; mount --bind ${own} ${here}`;
      const serve = `exec ${process.execPath} bin/bearerd.js serve --config ${here}/bearerd.yaml`;
      const sidecar = await startProcess('unshare', ['--uts', '--mount', 'sh', '-ec', `${pod}; ${serve}`], {
        name: node,
      });
      t.after(() => sidecar.stop());
      await sidecar.waitForOutput(node === 'pod-5' ? /refresh_failed/ : /"keyId":"march"/);
      return { node, own, sidecar };
    }),
  );
  // The news reach all but one each.
  await Promise.all(
    sidecars.map(async ({ node, own, sidecar }) => {
      if (node !== 'pod-2' && node !== 'pod-5') {
        swapRing(own, [
          { id: 'march', state: 'suspended' },
          { id: 'april', state: 'in_use' },
        ]);
        await sidecar.waitForOutput(/"keyId":"april"/);
      }
      if (node !== 'pod-3') {
        writeFileSync(join(own, 'bearerd.yaml'), `${config}max_wait: 2s\n`);
        sidecar.child.kill('SIGHUP');
        await sidecar.waitForOutput(/configuration_taken/);
      }
    }),
  );
  for (const { node, sidecar } of sidecars) {
    await sidecar.stop();
    writeFileSync(join(folder, `${node}.log`), sidecar.output());
  }

  const query = docBlocks(['docs/logs.md']).find(({ heading }) => heading === 'One query over a fleet')!;
  const { stdout, stderr } = spawnSync('sh', ['-c', query.text], { cwd: folder, encoding: 'utf8' });
  assert.equal(stderr, '');
  const rows = stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));
  assert.deepEqual(
    rows.map(([node, , source, , keyId, , judged]) => [node, source, keyId, judged].join(' ')),
    [
      'pod-1 maps april ok',
      'pod-2 maps march OLD KEY',
      'pod-3 maps april OLD CONFIGURATION',
      'pod-4 maps april ok',
      'pod-5 - - NO CREDENTIAL',
    ],
  );
  assert.deepEqual(new Set(rows.map(([, hash]) => hash)).size, 2);
});
