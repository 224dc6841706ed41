// Why a connection cannot be had, in words: the system's or OpenSSL's code, and what it means for whoever named the address.

const NO_TRUST = 'no known authority signed its certificate: name a private one in ca_file';
const NO_TLS = 'it speaks no TLS at this port';

const MEANINGS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has ended',
  CERT_SIGNATURE_FAILURE: NO_TRUST,
  DEPTH_ZERO_SELF_SIGNED_CERT: NO_TRUST,
  EAI_AGAIN: 'the name server does not answer',
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no host of this name',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: NO_TLS,
  ERR_SSL_WRONG_VERSION_NUMBER: NO_TLS,
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
  SELF_SIGNED_CERT_IN_CHAIN: NO_TRUST,
  UNABLE_TO_GET_ISSUER_CERT: NO_TRUST,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: NO_TRUST,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: NO_TRUST,
};

/** `(ECONNREFUSED): nothing listens there`, of a code without a known meaning the code alone. */
export function connectionFault(code: string): string {
  return Object.hasOwn(MEANINGS, code) ? `(${code}): ${MEANINGS[code]}` : `(${code})`;
}

/** The first code in a chain of causes. */
export function systemCode(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === 'string' && /^[A-Z0-9_]{2,64}$/.test(code)) return code;
  }
  return undefined;
}
