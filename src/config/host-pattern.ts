// Hosts of a policy: exact or `*.` in front, with a port or for every port. Each mistake has its own message, since a
// pattern that silently never matches means requests without a credential.
import { isIPv6 } from 'node:net';
import { refuse } from './invalid.ts';

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
const NAME_LENGTH = 253;

export interface HostPattern {
  /** `orders.example.com`, or `example.com` with wildcard true for `*.example.com`. */
  readonly name: string;
  readonly wildcard: boolean;
  /** undefined = every port. */
  readonly port: number | undefined;
}

/** Normalised: lower case, without the trailing dot. Throws Invalid. */
export function parseHostPattern(text: string): HostPattern {
  if (text === '') refuse('expected a host, got an empty string');
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    refuse(`a host has no scheme: write ${hostOf(text)} instead of a URL`);
  }
  if (text.includes('@')) refuse('a host has no user or password before it (@)');
  if (/[/?#\\]/.test(text)) refuse(`a host has no path: put it under paths, got "${text}"`);
  if (/\s/.test(text)) refuse(`a host has no white space, got "${text}"`);
  if (/[^\x21-\x7e]/.test(text)) {
    refuse(`a host has ASCII characters only: write the xn-- form that is sent, got "${text}"`);
  }
  if (text.startsWith('[')) return parseIpv6(text);
  if (isIPv6(text)) refuse(`an IPv6 address stands in brackets: [${text}]`);

  const [host = '', portText, ...rest] = text.split(':');
  if (rest.length > 0) refuse(`expected at most one ":" before the port, got "${text}"`);
  const port = portText === undefined ? undefined : parsePort(portText, text);
  const wildcard = host.startsWith('*.');
  const name = (wildcard ? host.slice(2) : host).toLowerCase().replace(/\.$/, '');
  if (name.includes('*')) {
    refuse(
      host === '*'
        ? 'a lone * would send the credential to every host: name the hosts, e.g. "*.example.com"'
        : `only one * is possible, as the whole first label, e.g. "*.example.com", got "${text}"`,
    );
  }
  if (name === '' || name.split('.').includes('')) {
    refuse(`a host has no empty labels (".." or a dot at the start), got "${text}"`);
  }
  if (name.length > NAME_LENGTH) refuse(`a host has at most ${NAME_LENGTH} characters`);
  const bad = name.split('.').find((label) => !LABEL.test(label));
  if (bad !== undefined) {
    refuse(`"${bad}" is no label of a host: letters, digits, - and _ inside, at most 63 of them`);
  }
  return { name, wildcard, port };
}

function parseIpv6(text: string): HostPattern {
  const match = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (!match || !isIPv6(match[1]!) || match[1]!.includes('%')) {
    refuse(`expected an IPv6 address in brackets, e.g. [2001:db8::1]:8443, got "${text}"`);
  }
  const port = match[2] === undefined ? undefined : parsePort(match[2], text);
  // The shortest form is what clients send.
  return { name: new URL(`http://[${match[1]}]`).hostname, wildcard: false, port };
}

function parsePort(text: string, whole: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) refuse(`expected a port from 1 to 65535 after ":", got "${whole}"`);
  return port;
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : 'the host alone';
}

/** `orders.prod` or `orders.prod:8080` to what pods call it. Throws Invalid. */
export function expandService(text: string): readonly HostPattern[] {
  const { name, wildcard, port } = parseHostPattern(text);
  const labels = name.split('.');
  if (wildcard || name.startsWith('[') || labels.length !== 2) {
    refuse(
      `expected SERVICE.NAMESPACE, e.g. orders.prod or orders.prod:8080, got "${text}"; other names go under hosts`,
    );
  }
  return ['', '.svc', '.svc.cluster.local'].map((suffix) => ({ name: `${name}${suffix}`, wildcard, port }));
}
