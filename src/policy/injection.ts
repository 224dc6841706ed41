// The noun "injection": how a credential stands on a request. Every door asks here what a header's value is; which door can
// do which is said in doors/generate.
import type { HeaderInjection, InjectConfig } from '../config/config.ts';

export interface Injection {
  readonly headers: readonly InjectedHeader[];
  /** Query parameter with the bare credential; undefined = none. */
  readonly query: string | undefined;
}

export interface InjectedHeader {
  /** Lower case. */
  readonly name: string;
  /** SDS resource name: headers of the same source and form share one secret. Source names hold no slash. */
  readonly secretName: string;
  /** The header's whole value. */
  valueOf(credential: string): string;
  /** The credential in a value that valueOf() made; undefined = it is none. */
  credentialIn(value: string): string | undefined;
  /** For people: where the credential stands. */
  describe(credential: string): string;
}

export function compileInjection({ source, headers, query }: InjectConfig): Injection {
  return { headers: headers.map((header) => compileHeader(source, header)), query };
}

function compileHeader(source: string, { name, prefix, basic }: HeaderInjection): InjectedHeader {
  const plain: InjectedHeader = {
    name,
    secretName: plainSecretName(source, prefix),
    valueOf: (credential) => prefix + credential,
    credentialIn: (value) => (value.startsWith(prefix) ? value.slice(prefix.length) : undefined),
    describe: (credential) => `${name}: ${prefix}${credential}`,
  };
  if (basic === undefined) return plain;
  const { username } = basic;
  const user = username === undefined ? '' : `${username}:`;
  return {
    name,
    // The colon is encoded in any prefix, so no two names meet.
    secretName: `${source}/:basic${username === undefined ? '' : `:${encodeURIComponent(username)}`}`,
    valueOf: (credential) => prefix + Buffer.from(user + credential, 'latin1').toString('base64'),
    credentialIn(value) {
      const encoded = plain.credentialIn(value);
      if (encoded === undefined) return undefined;
      const pair = Buffer.from(encoded, 'base64').toString('latin1');
      return pair.startsWith(user) ? pair.slice(user.length) : undefined;
    },
    describe: (credential) => `${name}: ${prefix}base64(${user}${credential})`,
  };
}

/**
 * The source's name when the prefix is the usual `Bearer `, else the name, a slash and the prefix percent-encoded
 * (`legacy/` for none, `legacy/Token%20`).
 */
function plainSecretName(source: string, prefix: string): string {
  return prefix === 'Bearer ' ? source : `${source}/${encodeURIComponent(prefix)}`;
}
