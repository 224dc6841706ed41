import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import { parseSidecarFile } from '../../../src/config/sidecar-file.ts';
import { mountRefusals } from '../../../src/kubernetes/mounts.ts';

const config = parseConfig(
  `version: 1
listen: { check: "unix:///run/bearerd/check.sock" }
sources:
  a: { client_credentials: { token_endpoint: "https://idp.example.com/t", client_id: c, client_secret: { file: /var/run/secrets/bearerd/a } } }
  b: { file: { path: /var/run/secrets/tokens/token } }
  c: { static: { value: { file: /etc/bearerd/key } } }
`,
  'bearerd.yaml',
);
const refusals = (more: string) =>
  mountRefusals(config, parseSidecarFile(`image: bearerd:1\n${more}`, 'sidecar.yaml'));

test('files of a Secret and of a token that the sidecar file does not mount are refused, each with the way out', () => {
  const [secret, token, ...others] = refusals('');
  assert.match(secret!, /^\/var\/run\/secrets\/bearerd\/a is read, .*: secret: NAME/);
  assert.match(token!, /^\/var\/run\/secrets\/tokens\/token is read, .*: token_audience: AUDIENCE$/);
  assert.deepEqual(others, []);
  assert.deepEqual(refusals('secret: keys\n'), [token]);
  assert.deepEqual(refusals('token_audience: idp\n'), [secret]);
  assert.deepEqual(refusals('secret: keys\ntoken_audience: idp\n'), []);
});
