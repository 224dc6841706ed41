// bearerd test and bearerd simulate, as their users run them.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { bearerd } from '../../support/command-line.ts';

const folder = mkdtempSync(join(tmpdir(), 'bearerd-verbs-'));

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

const configuration = (paths: string, unmatched = 'pass') => `version: 1
listen: { check: "unix:///run/bearerd/check.sock", xds: "unix:///run/bearerd/xds.sock" }
sources: { key: { static: { value: { env: KEY } } } }
outbound:
  - { name: orders, match: { hosts: [orders.prod], paths: [${paths}] }, inject: { source: key } }
unmatched: ${unmatched}
`;

const config = file('bearerd.yaml', configuration('/v1/'));

describe('bearerd test', () => {
  test('passes where the configuration does what is expected, and writes JUnit', async () => {
    const cases = file(
      'good.yaml',
      `cases:
  - request: GET http://orders.prod/v1/items?x=1
    expect: { decision: inject, policy: orders, source: key }
  - name: <not> "ours"
    request: GET http://orders.prod/healthz
    expect: { decision: pass, policy: null }
`,
    );
    const junit = join(folder, 'junit.xml');
    const { code, out } = await bearerd('test', cases, '--config', config, '--junit', junit);
    assert.equal(code, 0, out);
    assert.match(out, /^2 passed, 0 failed$/m);
    const xml = readFileSync(junit, 'utf8');
    assert.match(xml, /tests="2" failures="0"/);
    assert.match(xml, /name="&lt;not&gt; &quot;ours&quot;"/);
  });

  test('fails where it does not, and says what was got', async () => {
    const cases = file(
      'bad.yaml',
      'cases: [{ request: GET http://orders.prod/v1/x, expect: { policy: null } }]\n',
    );
    const { code, out } = await bearerd('test', cases, '--config', config);
    assert.equal(code, 1);
    assert.match(out, /expected policy none; got inject orders/);
  });

  test('refuses a file of cases with every problem and its place', async () => {
    const cases = file('wrong.yaml', 'cases:\n  - request: orders\n    expects: {}\n');
    const { code, err } = await bearerd('test', cases, '--config', config);
    assert.equal(code, 1);
    assert.match(err, /wrong\.yaml:2:\d+.*expected METHOD URL/);
    assert.match(err, /did you mean expect/);
  });
});

describe('bearerd simulate', () => {
  const log = file(
    'access.json',
    [
      '{"method":"GET","authority":"orders.prod","path":"/v1/a?secret=1","response_code":200}',
      '{"method":"GET",":authority":"orders.prod",":path":"/v2/b"}',
      '{"method":"POST","authority":"orders.prod","path":"/v1/c"}',
      '{"method":"GET","authority":"elsewhere","path":"/"}',
      'not json',
      '',
    ].join('\n'),
  );

  test('tells what would change, with counts and examples, and never a query', async () => {
    const next = file('next.yaml', configuration('/v1/, /v2/', 'deny'));
    const { code, out } = await bearerd('simulate', '--policy', next, '--config', config, '--log', log);
    assert.equal(code, 0);
    assert.equal(
      out,
      [
        'pass -> inject orders: 1',
        '    GET http://orders.prod/v2/b',
        'pass -> deny (unmatched): 1',
        '    GET http://elsewhere/',
        '4 requests, 2 decided as before, 1 without method, authority and path (the first in line 5)',
        '',
      ].join('\n'),
    );
  });

  test('without an old configuration shows everything that the new one decides', async () => {
    const { out } = await bearerd('simulate', '--policy', config, '--log', log);
    assert.match(out, /^inject orders: 2$/m);
    assert.match(out, /^pass: 2$/m);
    assert.doesNotMatch(out, /secret/);
  });

  test('says so when the log cannot be read', async () => {
    const { code, err } = await bearerd('simulate', '--policy', config, '--log', join(folder, 'missing'));
    assert.deepEqual([code, /cannot be read: ENOENT/.test(err)], [1, true]);
  });
});
