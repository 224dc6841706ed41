// What a request that is let in is answered, and that it was. The answer of a token is encoded once for its policy.
import type { InboundConfig } from '../../config/inbound/config.ts';
import type { Credential } from '../../credential/credential.ts';
import type { InboundPolicy } from '../../inbound/policy.ts';
import type { VerifiedToken } from '../../inbound/verified-token.ts';
import type { Observer } from '../../telemetry/observer.ts';
import { withBearer } from './answer.ts';
import { createCallers } from './callers.ts';
import { originHeaders, varies } from './cors.ts';
import type { Forwarding } from './forwarded.ts';
import type { Sender } from './proofs.ts';

/** `token` undefined = none was asked for. `exchanged`: what the app gets in place of the caller's token. */
export type Accept = (sender: Sender, token: VerifiedToken | undefined, exchanged?: Credential) => Uint8Array;

export interface AcceptDeps {
  readonly config: InboundConfig;
  readonly policies: readonly InboundPolicy[];
  readonly observer: Observer;
  readonly forwarding: Forwarding;
  /** Place of `origin` in the headers of a request; -1 = never read. */
  readonly origin: number;
}

export function createAccept({ config, policies, observer, forwarding, origin }: AcceptDeps): Accept {
  const accepted = policies.map(({ name }) => observer.acceptanceCount(name));
  const callers = createCallers(config, policies, observer);

  return ({ policy, request }, token, exchanged) => {
    accepted[policy.index]!.count++;
    callers.count(policy, token);
    if (policy.config.mode === 'shadow') return forwarding.unchanged;
    const response = policy.config.cors && originHeaders(policy.config.cors, request.values[origin]);
    if (token === undefined || (response !== undefined && response.length > 0)) {
      const answer = forwarding.accept(
        policy,
        token,
        response?.length ? response : varies(policy.config.cors),
      );
      return exchanged === undefined ? answer : withBearer(answer, exchanged.value);
    }
    if (token.answer === undefined || token.answeredBy !== policy.index) {
      token.answer = forwarding.accept(policy, token, varies(policy.config.cors));
      token.answeredBy = policy.index;
    }
    // Not kept: it would be outside of every bound in bytes.
    return exchanged === undefined ? token.answer : withBearer(token.answer, exchanged.value);
  };
}
