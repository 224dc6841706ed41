// Where a listener may listen. What hands out tokens is kept to Unix sockets or, for Check, to loopback.
import { isIPv4, isIPv6 } from 'node:net';
import { isLoopback, type ListenAddress, type TcpAddress, type UnixAddress } from '../lib/address.ts';
import { refuse } from './invalid.ts';

export const DEFAULT_SOCKET_MODE = 0o660;
/** sun_path of the kernel, without the closing NUL. */
const MAX_SOCKET_PATH_BYTES = 107;

/** `unix:///run/x.sock` or `127.0.0.1:9191`. Throws Invalid. */
export function parseListenAddress(text: string): ListenAddress {
  return /^(unix|abstract|unix-abstract):|^[@/.]/.test(text) ? parseUnix(text) : parseTcp(text);
}

/** Only Unix sockets. Throws Invalid. `why` ends the message for TCP. */
export function parseUnixOnly(text: string, why: string): UnixAddress {
  const address = parseListenAddress(text);
  if (address.kind === 'tcp') {
    refuse(`expected a Unix socket such as unix:///run/bearerd/xds.sock, got a TCP address: ${why}`);
  }
  return address;
}

/** A Unix socket, or TCP on loopback. Throws Invalid. */
export function parseUnixOrLoopback(text: string): ListenAddress {
  const address = parseListenAddress(text);
  if (address.kind === 'tcp' && !isLoopback(address.host)) {
    refuse(
      `expected a Unix socket or a loopback address such as 127.0.0.1:9191, got "${text}": who reaches it gets credentials`,
    );
  }
  return address;
}

/** TCP on any address. Throws Invalid. */
export function parseTcpOnly(text: string): TcpAddress {
  const address = parseListenAddress(text);
  if (address.kind === 'unix') {
    refuse('expected ADDRESS:PORT such as 0.0.0.0:9193: kubelet and Prometheus cannot reach a Unix socket');
  }
  return address;
}

function parseUnix(text: string): UnixAddress {
  if (/^(unix-)?abstract:|^(unix:(\/\/)?)?@/.test(text)) {
    refuse(
      'abstract sockets have no file, so no permissions guard them; write unix:///run/bearerd/NAME.sock',
    );
  }
  if (text.startsWith('/')) refuse(`expected unix://${text} for a Unix socket`);
  const path = /^unix:\/\/(\/[^\0]*)$/.exec(text)?.[1];
  if (path === undefined) {
    refuse(`expected unix:// and a path from the root, e.g. unix:///run/bearerd/check.sock, got "${text}"`);
  }
  if (path.endsWith('/')) refuse(`expected the path of a socket, got the folder "${path}"`);
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    refuse(
      `the path of a socket has at most ${MAX_SOCKET_PATH_BYTES} bytes, this one has ${Buffer.byteLength(path)}`,
    );
  }
  return { kind: 'unix', path, mode: DEFAULT_SOCKET_MODE, group: undefined };
}

function parseTcp(text: string): TcpAddress {
  const match = /^(?:\[([^\]]*)\]|([^:[\]/]*)):(\d{1,5})$/.exec(text);
  const expected = `expected unix:///PATH or ADDRESS:PORT (IPv6 in brackets), got "${text}"`;
  if (!match) refuse(expected);
  const host = match[1] ?? match[2]!;
  const port = Number(match[3]);
  if (host === '')
    refuse(`an address is missing before ":${port}", e.g. 127.0.0.1:${port} or 0.0.0.0:${port}`);
  const known = match[1] === undefined ? isIPv4(host) || host === 'localhost' : isIPv6(host);
  if (!known) refuse(`expected an IP address or localhost before the port, got "${text}"`);
  if (port > 65_535) refuse(`a port is at most 65535, got ${port}`);
  return { kind: 'tcp', host, port };
}

/** `"0660"` → 0o660. Throws Invalid. */
export function parseSocketMode(text: string): number {
  if (!/^0?[0-7]{3}$/.test(text)) refuse(`expected three octal digits in quotes, e.g. "0660", got "${text}"`);
  return Number.parseInt(text, 8);
}

/** A URI name of a certificate; `*` at its end stands for anything. Throws Invalid. */
export function parseUriPattern(text: string): string {
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/*\s]+(\/[^*\s]*)?\*?$/i.test(text)) {
    refuse(
      `expected a URI such as spiffe://cluster.local/ns/prod/sa/checkout, * only at its end, got "${text}"`,
    );
  }
  return text;
}

export function listenAddressText(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix://${address.path}`;
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}
