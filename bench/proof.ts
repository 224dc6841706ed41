// What a proof costs an attempt: signed while Envoy waits.
import { generateKeyPairSync } from 'node:crypto';
import { createDpopProver } from '../src/proof/dpop.ts';
import { signMessage } from '../src/proof/message-signature.ts';
import { type Figure, figureOf } from './figure.ts';

const ROUNDS = 5;
const CALLS = 5_000;

export async function proof(): Promise<readonly Figure[]> {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ed = generateKeyPairSync('ed25519');
  const dpop = (pair: typeof ec | typeof ed) => {
    const publicJwk = pair.publicKey.export({ format: 'jwk' }) as Record<string, string>;
    const prove = createDpopProver({ privateKey: pair.privateKey, publicJwk }, 'x'.repeat(900));
    const htu = 'https://api.example.com/v1/orders';
    return () => prove({ method: 'GET', htu, now: Date.now(), nonce: 'nonce-of-the-upstream' });
  };
  const settings = {
    label: 'sig1',
    keyId: 'key-1',
    components: ['@method', '@target-uri', '@authority', 'authorization'],
    expiresAfterMs: undefined,
    tag: undefined,
  };
  const token = `Bearer ${'x'.repeat(900)}`;
  const message = () =>
    signMessage({ kind: 'ed25519', key: ed.privateKey }, settings, {
      method: 'GET',
      origin: 'https://api.example.com',
      path: '/v1/orders?page=1',
      header: () => token,
      now: Date.now(),
      nonce: 'nonce',
    });
  const sides: [string, () => unknown][] = [
    ['proof_us', dpop(ec)],
    ['proof_ed25519_us', dpop(ed)],
    ['signature_ed25519_us', message],
  ];
  return sides.map(([name, run]) => {
    const rounds: number[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      const begun = performance.now();
      for (let i = 0; i < CALLS; i++) run();
      if (round > 0) rounds.push(((performance.now() - begun) * 1_000) / CALLS);
    }
    return figureOf(name, rounds, 'us');
  });
}
