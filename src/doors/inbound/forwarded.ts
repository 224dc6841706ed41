// What the upstream is told of a caller: verified claims as headers, and which headers of the caller's own go.
import type { InboundConfig } from '../../config/inbound/config.ts';
import type { InboundPolicy } from '../../inbound/policy.ts';
import { claimAt, type VerifiedToken } from '../../inbound/verified-token.ts';
import { buildAcceptance, buildOkResponse } from './answer.ts';

type Headers = readonly (readonly [name: string, value: string])[];

const MAX_VALUE_LENGTH = 4_096;

export interface Forwarding {
  /**
   * OK, with the claims of the token; undefined = no token was asked for. Of a policy that exchanges tokens what
   * withBearer() takes.
   */
  accept(policy: InboundPolicy, token: VerifiedToken | undefined, response: Headers): Uint8Array;
  /** OK for a policy in shadow: the request as it came, but for headers that only verified claims may fill. */
  readonly unchanged: Uint8Array;
}

export function createForwarding(config: InboundConfig): Forwarding {
  // Of every policy, on every route: a header that one upstream handler believes must not come in by another way.
  const known = [...new Set(config.policies.flatMap(({ forward }) => Object.keys(forward)))];
  const keyHeader = config.apiKeys === undefined ? [] : [config.apiKeys.header];

  return {
    unchanged: buildAcceptance({ set: [], remove: known, response: [] }),
    accept({ config: policy }, token, response) {
      const set: [string, string][] = [];
      for (const [name, path] of Object.entries(policy.forward)) {
        const value = token && textOf(claimAt(token.claims, path));
        if (value !== undefined) set.push([name, value]);
      }
      const taken = new Set(set.map(([name]) => name));
      const remove = known.filter((name) => !taken.has(name));
      for (const name of keyHeader) if (!taken.has(name)) remove.push(name);
      const { token: own } = policy;
      if (own === 'remove') remove.push('authorization');
      if (own !== 'pass') remove.push('dpop');
      return (typeof own === 'object' ? buildOkResponse : buildAcceptance)({ set, remove, response });
    },
  };
}

/** undefined for what no header can carry. */
function textOf(value: unknown): string | undefined {
  const text = plainText(value);
  // A line break in a claim would be a second header.
  return text === undefined || text.length > MAX_VALUE_LENGTH || /[\0-\x1f\x7f]/.test(text)
    ? undefined
    : text;
}

function plainText(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
    case 'boolean':
      return String(value);
    case 'object':
      if (value === null) return undefined;
      // A list of words by commas; a comma inside one would make it two.
      if (Array.isArray(value)) {
        return value.every((item) => typeof item === 'string' && !item.includes(','))
          ? value.join(',')
          : undefined;
      }
      return JSON.stringify(value);
    default:
      return undefined;
  }
}
