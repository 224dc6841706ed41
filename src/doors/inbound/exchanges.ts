// The token that the app gets in place of the caller's (RFC 8693): from the credential store, by the SHA-256 of the whole
// token that was verified. Whether its caller may is asked before, for every request.
import type { Credential, SourcesInForce } from '../../credential/credential.ts';
import type { InboundPolicy } from '../../inbound/policy.ts';
import { CredentialError } from '../../lib/errors.ts';
import { parseSubject } from '../subject-token.ts';
import type { Sender } from './proofs.ts';

export interface Exchanges {
  /** From now on these; before it nothing is exchanged. */
  use(sources: SourcesInForce): void;
  /** Hot: the one that the app may get now. */
  peek(sender: Sender): Credential | undefined;
  /** Rejects with CredentialError, after `timeoutMs` at the latest. */
  get(sender: Sender, timeoutMs: number): Promise<Credential>;
  retryAfterMs(sender: Sender): number;
}

export function createExchanges(policies: readonly InboundPolicy[]): Exchanges {
  const names = policies.map(({ config: { token } }) => (typeof token === 'object' ? token.exchange : ''));
  let sources: SourcesInForce | undefined;
  let readers: readonly ((key: string) => Credential | undefined)[] = [];

  return {
    use(inForce) {
      sources = inForce;
      readers = names.map((name) => (name === '' ? () => undefined : inForce.reader(name)));
    },
    peek: ({ policy, key }) => readers[policy.index]?.(key),
    async get({ policy, token, key, call }, timeoutMs) {
      const subject = parseSubject({ key, token, actor: undefined });
      if (sources === undefined || subject === undefined) {
        throw new CredentialError('subject_malformed', 'nothing that could be exchanged', {
          retryable: false,
        });
      }
      return sources.get(names[policy.index]!, timeoutMs, call.signal, subject);
    },
    retryAfterMs: ({ policy, key }) => sources?.retryAfterMs(names[policy.index]!, key) ?? 0,
  };
}
