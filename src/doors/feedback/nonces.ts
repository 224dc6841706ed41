// The last DPoP nonce that each upstream gave (RFC 9449, section 9): for all requests to it, until it gives another.
const NONCE = /^[\x21\x23-\x5b\x5d-\x7e]{1,512}$/;

export interface Nonces {
  /** `upstream` is the upstream_url of a policy, so there are as many as the configuration names. */
  learn(upstream: string, nonce: string): void;
  of(upstream: string): string | undefined;
}

export function createNonces(): Nonces {
  const nonces = new Map<string, string>();
  return {
    learn(upstream, nonce) {
      if (NONCE.test(nonce)) nonces.set(upstream, nonce);
    },
    of: (upstream) => nonces.get(upstream),
  };
}
