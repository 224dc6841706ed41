// The development mode inside a Kubernetes cluster.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from '../../../src/cli/serve.ts';
import { ConfigError } from '../../../src/lib/errors.ts';
import { parseRuntime } from '../../../src/lib/runtime.ts';

const folder = mkdtempSync(join(tmpdir(), 'bearerd-cluster-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, 'bearerd.yaml');
const CANARY = 'canary-51c0de';

function write(mode: string, secret: string): void {
  writeFileSync(
    file,
    `version: 1
mode: ${mode}
listen: { check: unix://${folder}/check.sock, health: 127.0.0.1:0 }
sources: { key: { static: { value: ${secret} } } }
outbound: [{ name: x, match: { hosts: [x.example.com] }, inject: { source: key } }]
`,
  );
}

function run(env: Readonly<Record<string, string>>) {
  const ended = new AbortController();
  let output = '';
  const take = (text: string): void => {
    output += text;
  };
  const code = serve.run(['--config', file], {
    ...{ env, version: '0.0.0', runtime: parseRuntime({}, '24.0.0', true) },
    ...{ out: take, err: take, clear: undefined, ended: ended.signal, onReload: () => {} },
  });
  const said = async (pattern: RegExp) => {
    for (const deadline = Date.now() + 30_000; !pattern.test(output); await sleep(20)) {
      assert.ok(Date.now() < deadline, `no ${pattern} in ${output}`);
    }
  };
  return { code, said, output: () => output, end: () => ended.abort() };
}

const INSIDE = { KUBERNETES_SERVICE_HOST: '10.96.0.1' };

test('is refused at the start, with what to do instead', async () => {
  write('development', `{ inline: ${CANARY} }`);
  await assert.rejects(run(INSIDE).code, (error) => {
    assert.ok(error instanceof ConfigError);
    assert.deepEqual(error.problems, [
      {
        path: 'mode',
        line: undefined,
        column: undefined,
        message:
          'development is refused inside a Kubernetes cluster (KUBERNETES_SERVICE_HOST is set): leave mode out, take secrets by { file } from a Secret and reach providers by https://',
      },
    ]);
    return true;
  });
});

test('is refused when the file changes to it, and the one before stays in force', async () => {
  writeFileSync(join(folder, 'key'), 'a-key');
  write('production', '{ file: key }');
  const serving = run(INSIDE);
  await serving.said(/"listener":"health","state":"listening"/);
  write('development', `{ inline: ${CANARY} }`);
  await serving.said(/development is refused inside a Kubernetes cluster/);
  assert.doesNotMatch(serving.output(), new RegExp(CANARY));
  serving.end();
  assert.equal(await serving.code, 0);
});

test('runs outside', async () => {
  write('development', `{ inline: ${CANARY} }`);
  const serving = run({});
  await serving.said(/"listener":"health","state":"listening"/);
  serving.end();
  assert.equal(await serving.code, 0);
});
