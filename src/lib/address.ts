// Where a listener listens.
import { isIPv4 } from 'node:net';

export type ListenAddress = UnixAddress | TcpAddress;

export interface UnixAddress {
  readonly kind: 'unix';
  readonly path: string;
  /** Permission bits of the socket. Default 0o660. */
  readonly mode: number;
  /** Group name or id that owns the socket; undefined = the process's. */
  readonly group: string | number | undefined;
}

export interface TcpAddress {
  readonly kind: 'tcp';
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
}

/** Whether only this machine reaches it. `host` without brackets. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}
