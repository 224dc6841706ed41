// sources.NAME.spiffe_jwt, and the Workload API wherever else a JWT-SVID is used.
import * as z from 'zod';
import { refuse } from '../invalid.ts';
import { parseUnixOnly } from '../listen-address.ts';
import { parsed, textOrList } from '../schema-values.ts';
import { sourceKind } from './kind.ts';

export interface WorkloadApiConfig {
  /** Path of the Unix socket. */
  readonly socket: string;
  /** '' = the default identity. */
  readonly spiffeId: string;
}

export interface SpiffeJwtConfig extends WorkloadApiConfig {
  readonly type: 'spiffe_jwt';
  readonly audience: readonly string[];
}

export interface SpiffeAssertionConfig extends WorkloadApiConfig {
  /** undefined = the issuer where it is known, else the token endpoint. */
  readonly audience: string | undefined;
}

// SPIFFE-ID.md section 2: lower-case trust domain; no empty, "." or ".." segments, no slash at the end.
const SPIFFE_ID = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)*$/;

export const workloadApiKeys = {
  socket: parsed(
    z.string(),
    (text) => parseUnixOnly(text, 'the Workload API knows its callers by the socket').path,
  ).describe('Unix socket of the SPIFFE Workload API, e.g. unix:///run/spire/agent.sock.'),
  spiffe_id: parsed(z.string(), (text) =>
    SPIFFE_ID.test(text)
      ? text
      : refuse(`expected a SPIFFE ID such as spiffe://example.org/checkout, got "${text}"`),
  )
    .optional()
    .describe(
      'Which identity, where the workload has several. Default: the first, which the API means as the default.',
    ),
};

const schema = z
  .strictObject({
    ...workloadApiKeys,
    audience: parsed(textOrList, (value) => {
      const list = typeof value === 'string' ? [value] : value;
      if (list.length === 0 || list.includes('')) refuse('expected at least one audience');
      return list;
    }).describe('aud of the JWT-SVID, one or a list: for whom it is.'),
  })
  .describe('JWT-SVID of the SPIFFE Workload API.');

export const spiffeJwt = sourceKind({
  schema,
  toConfig: ({ socket, spiffe_id, audience }): SpiffeJwtConfig => ({
    type: 'spiffe_jwt',
    socket,
    spiffeId: spiffe_id ?? '',
    audience,
  }),
  renewable: true,
  providerUrls: [],
});
