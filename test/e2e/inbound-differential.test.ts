// 10,000 tokens, good and bad by construction, to our verdict and to Envoy's own jwt_authn on the same keys. They must
// agree; where they do not, we are the stricter one, for a reason that stands in the table.
import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { test } from 'node:test';
import { answeringListener } from '../support/answering-listener.ts';
import { startEnvoy } from '../support/envoy.ts';
import { startInbound } from '../support/inbound-world.ts';
import { createTestKey, jwkSet, part, signatureOf, type TestKey } from '../support/token-issuer.ts';

const COUNT = Number(process.env['DIFFERENTIAL_TOKENS'] ?? 10_000);
const ISSUER = 'https://idp.example.com';

/** What may be done to a good token so that we refuse it and Envoy does not, and why. About all else both must agree. */
const STRICTER: Readonly<Record<string, string>> = {
  'no exp': 'a token without an end would be valid for ever; Envoy asks for exp only with require_expiration',
  'iat ahead': 'issued in the future: its clock cannot be trusted. Envoy does not look at iat',
  'typ dpop+jwt': 'a proof is no access token (RFC 8725 section 3.11). Envoy does not look at typ',
  crit: 'what is critical and not understood must be refused (RFC 7515 section 4.1.11). Envoy does not look at it',
  'unused bits': 'one token has one spelling: unused bits of base64url are zero (RFC 4648 section 3.5)',
};

interface Recipe {
  readonly token: string;
  /** What was done to it; empty = good. */
  readonly changes: readonly string[];
}

function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function createRecipes(keys: readonly TestKey[], strangers: readonly TestKey[]): Recipe[] {
  const random = createRandom(20_260_101);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const chance = (p: number) => random() < p;
  const now = Math.floor(Date.now() / 1_000);
  return Array.from({ length: COUNT }, (_, i) => {
    const changes: string[] = [];
    const change = (p: number, name: string, make: () => void) => {
      if (!chance(p)) return;
      changes.push(name);
      make();
    };
    const n = Math.floor(random() * keys.length);
    let key = keys[n]!;
    const header: Record<string, unknown> = { alg: key.alg, kid: key.kid, typ: 'JWT' };
    const claims: Record<string, unknown> = {
      iss: ISSUER,
      aud: pick(['orders', ['orders'], ['x', 'orders']]),
      sub: `user-${i}`,
      exp: now + 600 + Math.floor(random() * 600),
      iat: now - Math.floor(random() * 100),
      jti: `${i}`,
    };
    const p = 0.05;
    if (chance(0.2)) delete header['kid'];
    if (chance(0.2)) delete header['typ'];
    if (chance(0.2)) claims['nbf'] = now - 10;
    change(p, 'another key', () => {
      key = strangers[n]!;
    });
    change(p, 'unknown kid', () => {
      header['kid'] = `nobody-${i}`;
    });
    change(p, 'another alg', () => {
      header['alg'] = pick(['RS384', 'ES384', 'HS256', 'none', 'None', 'rs256', '']);
    });
    change(p, 'another iss', () => {
      claims['iss'] = pick(['https://evil.example.com', `${ISSUER}/`, undefined]);
    });
    change(p, 'another aud', () => {
      claims['aud'] = pick(['payments', ['a', 'b'], 'orders2']);
    });
    change(p, 'no aud', () => {
      claims['aud'] = undefined;
    });
    change(p, 'expired', () => {
      claims['exp'] = now - pick([61, 120, 100_000]) - 5;
    });
    change(p / 2, 'no exp', () => {
      claims['exp'] = undefined;
    });
    change(p / 2, 'nbf ahead', () => {
      claims['nbf'] = now + 300;
    });
    change(p / 2, 'iat ahead', () => {
      claims['iat'] = now + 300;
    });
    change(p / 2, 'typ dpop+jwt', () => {
      header['typ'] = 'dpop+jwt';
    });
    change(p / 2, 'crit', () => {
      header['crit'] = ['x'];
    });
    let payload = JSON.stringify(claims);
    change(p / 2, 'sub twice', () => {
      payload = payload.replace('{', '{"sub":"root",');
    });
    const input = `${part(header)}.${part(payload)}`;
    const signature = Buffer.from(signatureOf(key, input));
    change(p, 'a changed signature', () => {
      const at = Math.floor(random() * signature.length);
      signature[at] = signature[at]! ^ (1 << Math.floor(random() * 8));
    });
    let token = `${input}.${signature.toString('base64url')}`;
    change(p / 2, 'a changed payload', () => {
      const [head, , tail] = token.split('.');
      token = `${head}.${part(payload.replace('user-', 'root-'))}.${tail}`;
    });
    change(p / 4, 'a part too few', () => {
      token = token.slice(0, token.lastIndexOf('.'));
    });
    change(p / 4, 'a part too many', () => {
      token += '.x';
    });
    change(p / 4, 'cut', () => {
      token = token.slice(0, -5);
    });
    change(p / 4, 'a letter of another alphabet', () => {
      const at = Math.floor(random() * token.length);
      token = `${token.slice(0, at)}~${token.slice(at + 1)}`;
    });
    change(p / 4, 'unused bits', () => {
      // 256 and 64 bytes leave unused bits in the last letter: the next letter spells the same bytes.
      const last = token.charCodeAt(token.length - 1);
      token = `${token.slice(0, -1)}${String.fromCharCode(last + 1)}`;
    });
    return { token, changes };
  });
}

test(`${COUNT} tokens: our verdict is Envoy's, or stricter for a reason`, async (t) => {
  const keys = [createTestKey('rsa', 'RS256'), createTestKey('ec', 'ES256')];
  const strangers = [createTestKey('rsa', 'RS256'), createTestKey('ec', 'ES256')];
  const jwks = jwkSet(...keys);
  const world = await startInbound(
    t,
    `
  issuers:
    idp: { issuer: "${ISSUER}", jwks_file: jwks.json, audience: orders, leeway: 60s, algorithms: [RS256, ES256] }
  failed_attempts: { requests: 1000000 }
  policies: [{ name: api, match: {} }]
`,
    { 'jwks.json': jwks },
  );
  const envoy = await startEnvoy({ config: jwtAuthn(jwks) });
  t.after(() => envoy.stop());
  const port = await envoy.listenerPort('jwt_authn');
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  t.after(() => agent.destroy());
  const envoySays = (token: string) =>
    new Promise<boolean>((resolve, reject) => {
      request(
        { host: '127.0.0.1', port, agent, path: '/', headers: { authorization: `Bearer ${token}` } },
        (answer) => {
          answer.resume();
          answer.on('end', () => resolve(answer.statusCode === 200));
        },
      )
        .on('error', reject)
        .end();
    });

  const recipes = createRecipes(keys, strangers);
  const unexplained: string[] = [];
  const explained = new Map<string, number>();
  let accepted = 0;
  for (let i = 0; i < recipes.length; i += 64) {
    await Promise.all(
      recipes.slice(i, i + 64).map(async ({ token, changes }) => {
        const [ours, theirs] = await Promise.all([
          world.bearer(token).then(({ status }) => status === 200),
          envoySays(token),
        ]);
        if (ours) accepted++;
        if (ours && changes.length > 0) unexplained.push(`we accept: ${changes.join(', ')}`);
        if (!ours && changes.length === 0) unexplained.push('we refuse a good one');
        if (ours === theirs) return;
        const why = changes.find((change) => STRICTER[change] !== undefined);
        if (ours || why === undefined) {
          unexplained.push(
            `${ours ? 'only we accept' : 'only Envoy accepts'}: ${changes.join(', ') || 'a good one'}`,
          );
        } else explained.set(why, (explained.get(why) ?? 0) + 1);
      }),
    );
  }
  t.diagnostic(`${accepted} of ${COUNT} accepted; stricter than Envoy: ${JSON.stringify([...explained])}`);
  assert.deepEqual([...new Set(unexplained)], []);
  assert.ok(accepted > COUNT / 4 && accepted < (COUNT * 3) / 4, `${accepted} accepted`);
});

function jwtAuthn(jwks: string): object {
  const filter = {
    name: 'envoy.filters.http.jwt_authn',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication',
      providers: {
        idp: {
          issuer: ISSUER,
          audiences: ['orders'],
          clock_skew_seconds: 60,
          local_jwks: { inline_string: jwks },
        },
      },
      rules: [{ match: { prefix: '/' }, requires: { provider_name: 'idp' } }],
    },
  };
  return { static_resources: { listeners: [answeringListener('jwt_authn', [filter])] } };
}
