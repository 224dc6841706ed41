// What a sender has to prove beside its token: its certificate, its DPoP key, or a signature over the request.
import { DPOP_ALGORITHMS, isProven, originOf } from '../../inbound/dpop.ts';
import type { Inbound } from '../../inbound/inbound.ts';
import { isSignedRequest } from '../../inbound/message-signature.ts';
import type { InboundPolicy } from '../../inbound/policy.ts';
import type { RefusalReason } from '../../inbound/refusal.ts';
import type { VerifiedToken } from '../../inbound/verified-token.ts';
import { cutQuery } from '../../policy/path.ts';
import type { UnaryCall } from '../../server/front.ts';
import type { ClientCertificate } from './client-certificate.ts';
import type { InboundRequest } from './request.ts';

export interface Sender {
  readonly request: InboundRequest;
  readonly policy: InboundPolicy;
  readonly certificate: ClientCertificate;
  readonly scheme: 'Bearer' | 'DPoP';
  /** The access token as it came; empty for an API key or none. */
  readonly token: string;
  /** VerifiedTokens.keyOf() it. */
  readonly key: string;
  readonly call: UnaryCall;
  /** Until when its answer may wait, monotonic milliseconds; set when it first has to. */
  until: number | undefined;
}

export interface Proofs {
  /** At once where nothing has to be verified. */
  refusal(
    sender: Sender,
    token: VerifiedToken | undefined,
  ): RefusalReason | undefined | Promise<RefusalReason | undefined>;
}

export const DPOP_PARAMETERS = `, algs="${DPOP_ALGORITHMS.join(' ')}"`;

export function createProofs(
  position: (header: string) => number,
  { replay, signers, time }: Pick<Inbound, 'replay' | 'signers' | 'time'>,
): Proofs {
  const DPOP = position('dpop');
  const SIGNATURE = position('signature');
  const SIGNATURE_INPUT = position('signature-input');

  return {
    refusal(sender, token) {
      const bound = token === undefined ? undefined : boundRefusal(sender, token);
      if (bound !== undefined) return bound;
      const asksProof = token?.boundKey !== undefined;
      const asksSignature = sender.policy.config.signature !== undefined;
      if (!asksProof && !asksSignature) return undefined;
      return proven(sender, asksProof ? token : undefined);
    },
  };

  /** RFC 8705 section 3: what is bound is held to it, whether the policy asks for it or not. */
  function boundRefusal(sender: Sender, token: VerifiedToken): RefusalReason | undefined {
    const { certificate, scheme, policy } = sender;
    const { boundCertificate, boundKey } = token;
    if (boundCertificate !== undefined && boundCertificate !== certificate.thumbprint) return 'token_binding';
    // RFC 9449 section 7.1: one without the other is a downgrade, or a mistake.
    if ((boundKey !== undefined) !== (scheme === 'DPoP')) return 'token_binding';
    // What comes of it would be worth something in anybody's hands.
    const isBound = boundCertificate !== undefined || boundKey !== undefined;
    if (isBound && typeof policy.config.token === 'object') return 'token_binding';
    const { bound } = policy.config;
    if (bound === undefined || token.kind === 'api_key') return undefined;
    const fits =
      (bound !== 'dpop' && boundCertificate !== undefined) || (bound !== 'mtls' && boundKey !== undefined);
    return fits ? undefined : 'token_binding';
  }

  async function proven(
    sender: Sender,
    token: VerifiedToken | undefined,
  ): Promise<RefusalReason | undefined> {
    const { request, policy } = sender;
    const now = time.now();
    const { values, counts } = request;
    const origin = policy.config.publicUrl ?? originOf('https', request.host);
    if (token !== undefined) {
      const proof = counts[DPOP] === 1 ? values[DPOP]! : '';
      const htu = origin + cutQuery(request.path);
      const { method } = request;
      const [boundKey, account] = [token.boundKey!, accountOf(token)];
      const asked = { proof, method, htu, ath: sender.key, boundKey, account, now };
      if (!(await isProven(asked, replay))) return 'dpop_proof';
    }
    const { signature } = policy.config;
    if (signature === undefined) return undefined;
    const received = {
      signature: counts[SIGNATURE] === 1 ? values[SIGNATURE] : undefined,
      signatureInput: counts[SIGNATURE_INPUT] === 1 ? values[SIGNATURE_INPUT] : undefined,
      method: request.method,
      origin,
      path: request.path,
      header: (name: string) => {
        const at = position(name);
        return at === -1 ? undefined : values[at];
      },
      now,
    };
    const isSigned = await isSignedRequest(
      signature,
      received,
      (kid) => signers.of(policy.index, kid),
      replay,
    );
    return isSigned ? undefined : 'signature';
  }
}

/** An issuer's user or client: all its keys and tokens are one sender, over all configurations. */
function accountOf({ claims, boundKey }: VerifiedToken): string {
  const account = claims['sub'] ?? claims['client_id'] ?? claims['azp'] ?? boundKey;
  return `account ${String(claims['iss'])} ${String(account)}`;
}
