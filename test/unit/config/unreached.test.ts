import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import { unreached } from '../../../src/config/unreached.ts';

/** Each as `match` and further lines, in the flow style of YAML; all inject. */
const told = (...policies: readonly string[]) =>
  unreached(
    parseConfig(
      `version: 1
listen: { check: "unix:///c.sock" }
ambiguous_path: deny
sources: { a: { static: { value: { env: A } } } }
outbound:
${policies
  .map(
    (text, i) =>
      `  - { name: p${i}, ${text.includes('deny') ? '' : 'inject: { source: a }, '}match: ${text} }`,
  )
  .join('\n')}
`,
      '/bearerd.yaml',
    ),
  );

test('a policy whose requests an earlier one matches all of is told with both', () => {
  assert.deepEqual(
    told(
      '{ hosts: [x.example.com], paths: [/v1] }',
      '{ hosts: [x.example.com], paths: [/v1/a, { exact: /v1 }] }',
    ),
    ['outbound[1]: no request reaches p1: outbound[0] (p0) comes first and matches all of its requests'],
  );
  const covered = [
    [
      '{ hosts: [x.example.com] }',
      '{ hosts: ["x.example.com:8443"], methods: [GET], paths: [{ regex: "/a.*" }] }',
    ],
    [
      '{ hosts: ["*.example.com"], methods: [GET, POST] }',
      '{ hosts: [x.example.com, "*.y.example.com"], methods: [POST] }',
    ],
    ['{ hosts: [x.example.com], paths: [/] }', '{ hosts: [x.example.com], paths: [{ regex: "/a.*" }] }'],
    ['{ hosts: [x.example.com] }, mode: { percent: 5 }', '{ hosts: [x.example.com] }'],
  ] as const;
  for (const pair of covered) assert.equal(told(...pair).length, 1, pair.join());
});

test('a policy that may still be reached is not told', () => {
  const reached = [
    ['{ hosts: [x.example.com], methods: [GET] }', '{ hosts: [x.example.com] }'],
    ['{ hosts: ["x.example.com:8443"] }', '{ hosts: [x.example.com] }'],
    ['{ hosts: ["*.example.com"] }', '{ hosts: [example.com] }'],
    ['{ hosts: [x.example.com], paths: [/v1] }', '{ hosts: [x.example.com], paths: [/v10] }'],
    ['{ hosts: [x.example.com], paths: [{ regex: "/.*" }] }', '{ hosts: [x.example.com], paths: [/v1] }'],
    ['{ hosts: [x.example.com], paths: [/v1] }', '{ hosts: [x.example.com], paths: [{ regex: "/v1/.*" }] }'],
    ['{ hosts: [x.example.com] }, mode: off', '{ hosts: [x.example.com] }'],
    ['{ hosts: [x.example.com] }, deny: true, mode: shadow', '{ hosts: [x.example.com] }'],
    ['{ hosts: [x.example.com], paths: [/v1] }', '{ hosts: [x.example.com] }'],
  ] as const;
  for (const pair of reached) assert.deepEqual(told(...pair), [], pair.join());
});

test('policies for incoming requests are held to the same', () => {
  const config = parseConfig(
    `version: 1
listen: { check_inbound: "unix:///i.sock" }
inbound:
  issuers: { idp: { issuer: "https://idp.example.com", audience: me } }
  policies:
    - { name: all, match: {} }
    - { name: admin, match: { paths: [/admin] }, scopes: [admin] }
`,
    '/bearerd.yaml',
  );
  assert.deepEqual(unreached(config), [
    'inbound.policies[1]: no request reaches admin: inbound.policies[0] (all) comes first and matches all of its requests',
  ]);
});
