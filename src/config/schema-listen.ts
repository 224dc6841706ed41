// The schema below `listen`: an address as text, or as an object where a socket needs its mode or group.
import * as z from 'zod';
import type { ListenAddress, UnixAddress } from '../lib/address.ts';
import { isLoopback } from '../lib/address.ts';
import { refuse } from './invalid.ts';
import {
  DEFAULT_SOCKET_MODE,
  listenAddressText,
  parseListenAddress,
  parseSocketMode,
  parseTcpOnly,
  parseUnixOnly,
  parseUnixOrLoopback,
  parseUriPattern,
} from './listen-address.ts';
import { parsed } from './schema-values.ts';
import { secretRef } from './source/secret-ref.ts';

const mode = parsed(
  z.string({
    error: ({ input }) =>
      typeof input === 'number'
        ? 'expected octal digits in quotes, e.g. "0660": YAML reads a bare number'
        : undefined,
  }),
  parseSocketMode,
)
  .optional()
  .describe('Permission bits of the socket, octal and in quotes. Default "0660".');

const group = z
  .union([z.string().min(1), z.int().min(0)], { error: 'expected the name or the number of a group' })
  .optional()
  .describe('Group that owns the socket, by name or number. Default: the group of the process.');

const text = z.string();

const tcp = z.string({
  error: ({ code, input }) =>
    code === 'invalid_type' && input !== undefined
      ? 'expected ADDRESS:PORT such as 127.0.0.1:9193'
      : undefined,
});

/** `unix:///…` or the object form. */
function socket<T extends ListenAddress>(parse: (text: string) => T) {
  const object = parsed(z.strictObject({ address: parsed(text, parse), mode, group }), (value) =>
    withOwner(value.address, value.mode, value.group),
  );
  return z.union([parsed(text, parse), object], {
    error: 'expected an address, or { address, mode, group }',
  });
}

function withOwner<T extends ListenAddress>(address: T, mode?: number, group?: string | number): T {
  if (address.kind === 'unix') return { ...address, mode: mode ?? DEFAULT_SOCKET_MODE, group };
  if (mode !== undefined || group !== undefined) refuse('mode and group are for Unix sockets only');
  return address;
}

const front = z
  .enum(['raw', 'node'])
  .default('raw')
  .describe("The server: raw is bearerd's own HTTP/2, node is Node's, at four times the cost. Default raw.");

const tls = z
  .strictObject({
    certificate: z
      .string()
      .min(1)
      .describe('PEM chain, the own certificate first. Read again when it changes.'),
    private_key: z.string().min(1).describe('PEM key of the certificate.'),
    client_ca: z.string().min(1).describe('PEM bundle that client certificates must lead to.'),
    allowed_uris: z
      .array(parsed(text, parseUriPattern))
      .min(1, { error: 'expected at least one URI: without it no client is allowed' })
      .describe('URI names of allowed client certificates, e.g. spiffe://cluster.local/ns/prod/sa/*.'),
  })
  .transform((value) => ({
    certificate: value.certificate,
    privateKey: value.private_key,
    clientCa: value.client_ca,
    allowedUris: value.allowed_uris,
  }))
  .optional()
  .describe('TLS 1.3 with client certificates. Needed for TCP beyond loopback.');

const checkObject = parsed(
  z.strictObject({ address: parsed(text, parseListenAddress), mode, group, front, tls }),
  (value) => {
    const listener = withOwner(value.address, value.mode, value.group);
    if (value.tls === undefined) parseUnixOrLoopback(listenAddressText(listener));
    else if (listener.kind === 'unix')
      refuse('tls is for TCP: a Unix socket is guarded by its mode and group');
    else if (value.front === 'node') refuse('front: node has no tls; leave front out');
    return { listener, front: value.front, tls: value.tls };
  },
);

export const check = z
  .union(
    [
      parsed(text, parseUnixOrLoopback).transform((listener) => ({
        listener,
        front: 'raw' as const,
        tls: undefined,
      })),
      checkObject,
    ],
    { error: 'expected an address, or { address, mode, group, front, tls }' },
  )
  .describe(
    'ext_authz of Envoy: unix:///PATH, or TCP on loopback, elsewhere with tls. Also { address, mode, group, front, tls }.',
  );

const TOKENS_OVER_TCP = 'over TCP any process of the pod could read tokens';
const parseXds = (value: string): UnixAddress => parseUnixOnly(value, TOKENS_OVER_TCP);

const sources = z
  .array(z.string())
  .min(1)
  .optional()
  .describe('Sources whose secrets this socket serves. Default: all.');

const xdsEntry = z.union(
  [
    parsed(text, parseXds).transform((listener) => ({ listener, sources: undefined })),
    z.strictObject({ address: parsed(text, parseXds), mode, group, sources }).transform((value) => ({
      listener: withOwner(value.address, value.mode, value.group),
      sources: value.sources && [...new Set(value.sources)],
    })),
  ],
  { error: 'expected unix:///PATH, or { address, mode, group, sources }' },
);

export const xds = z
  .union([xdsEntry.transform((entry) => [entry]), z.array(xdsEntry)], {
    error: 'expected unix:///PATH, { address, mode, group, sources }, or a list of these',
  })
  .describe(
    'Secrets (SDS) for the push door and the access logs that report refusals. Unix sockets only, one or a list; each may be an object { address, mode, group, sources }.',
  );

export const health = parsed(tcp, parseTcpOnly).describe(
  '/startupz, /livez, /readyz and /metrics: ADDRESS:PORT, also 0.0.0.0. Nothing secret is served there.',
);

export const admin = socket((value) =>
  parseUnixOnly(value, 'what it tells is for those who may open its socket'),
).describe(
  'Status of sources and policies, as JSON and as a page: unix:///PATH. Also { address, mode, group }.',
);

export const status = parsed(
  z.strictObject(
    {
      address: parsed(tcp, parseTcpOnly).describe('ADDRESS:PORT. Loopback without tls.'),
      token: secretRef
        .optional()
        .describe(
          'Who has it may look: Authorization: Bearer, or the password of Basic with any user. At least 16 characters.',
        ),
      tls,
      hosts: z
        .array(
          z.string().regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, {
            error: 'expected host names in lower case, without port',
          }),
        )
        .default([])
        .describe('Names by which the page is reached, beside localhost and addresses. Default: none.'),
    },
    {
      error: ({ code }) => (code === 'invalid_type' ? 'expected { address, token, tls, hosts }' : undefined),
    },
  ),
  (value) => {
    if (value.tls !== undefined) return value;
    if (!isLoopback(value.address.host))
      refuse('tls is missing: beyond loopback the token and what is shown would be read on the way');
    if (value.token === undefined)
      refuse(
        'token or tls is missing: any process of the machine, and any site in its browser, could read the page',
      );
    return value;
  },
).describe(
  'The status page on a port, read-only: { address, token, tls, hosts }. With token on loopback, with tls (client certificates) on any address, with both for both.',
);
