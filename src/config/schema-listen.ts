// The schema below `listen`: an address as text, or as an object where a socket needs its mode or group.
import * as z from 'zod';
import type { ListenAddress, UnixAddress } from '../lib/address.ts';
import { refuse } from './invalid.ts';
import {
  DEFAULT_SOCKET_MODE,
  parseSocketMode,
  parseTcpOnly,
  parseUnixOnly,
  parseUnixOrLoopback,
} from './listen-address.ts';
import { parsed } from './schema-values.ts';

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

export const check = z
  .union(
    [
      parsed(text, parseUnixOrLoopback).transform((listener) => ({ listener, front: 'raw' as const })),
      parsed(z.strictObject({ address: parsed(text, parseUnixOrLoopback), mode, group, front }), (value) => ({
        listener: withOwner(value.address, value.mode, value.group),
        front: value.front,
      })),
    ],
    { error: 'expected an address, or { address, mode, group, front }' },
  )
  .describe('ext_authz of Envoy: unix:///PATH, or TCP on loopback. Also { address, mode, group, front }.');

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

export const health = parsed(text, parseTcpOnly).describe(
  '/livez, /readyz and /metrics: ADDRESS:PORT, also 0.0.0.0. Nothing secret is served there.',
);

export const admin = socket((value) =>
  parseUnixOnly(value, 'what it tells is for those who may open its socket'),
).describe('Status of sources and policies: unix:///PATH. Also { address, mode, group }.');
