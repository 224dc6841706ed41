// Files for TLS to an upstream, as the YAML of an option names them.
import { InputError } from './command.ts';

const KEYS = ['ca', 'cert', 'key', 'sni'];

/** Throws InputError; `at` is where it stands. */
export function checkUpstreamTls(value: unknown, at: string): void {
  const tls = (typeof value === 'object' && value !== null ? value : {}) as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(tls).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) throw new InputError(`${at}: unknown key "${unknown}"`);
  if (typeof tls['ca'] !== 'string') throw new InputError(`${at}.ca: expected a file`);
  if ((tls['cert'] === undefined) !== (tls['key'] === undefined))
    throw new InputError(`${at}: cert and key go together`);
}
