// Who is subscribed to what, and what each said it has: for people who look. Nothing is decided by it.

/** One stream of one Envoy. */
export interface Peer {
  readonly listener: string;
  /** Node id by Envoy's own word, cut; '' until it has said it. */
  node: string;
}

/** Of one name on one stream: what the peer said last. */
export interface Verdicts {
  /** The version that it uses, and since when (epoch ms); undefined = it said nothing yet. */
  acknowledged?: { readonly version: string; readonly at: number };
  /** It refused this one and keeps the one before; its reason is in the log. Gone with the next that it takes. */
  rejected?: { readonly version: string; readonly at: number };
}

export interface SubscriberStatus {
  readonly listener: string;
  readonly node: string;
  readonly secrets: readonly ({
    readonly name: string;
    /** What it should have. */
    readonly version: string;
    /** Whether there is a credential in that; a name without one has the empty secret. */
    readonly filled: boolean;
  } & Verdicts)[];
}

const NODE_LENGTH = 256;
/** Names shown of all subscribers together; a peer may subscribe to thousands. */
const NAMES_SHOWN = 500;

export interface ShownName {
  readonly peer: Peer;
  readonly name: string;
  /** Whether a policy has it. */
  readonly known: boolean;
  readonly version: string;
  readonly filled: boolean;
  readonly verdicts: Verdicts;
}

export function identify(peer: Peer, node: { readonly id: string } | undefined): void {
  // Only the first request of a stream has to say it.
  if (node !== undefined && node.id !== '') peer.node = node.id.slice(0, NODE_LENGTH);
}

/** By stream; names of policies come first and of these the refused ones, so that they are among those shown. */
export function subscriberStatus(names: readonly ShownName[]): {
  readonly subscribers: readonly SubscriberStatus[];
  readonly leftOut: number;
} {
  const rank = ({ known, verdicts }: ShownName): number =>
    Number(known) * 2 + Number(verdicts.rejected !== undefined);
  const ranked = names.toSorted((a, b) => rank(b) - rank(a));
  const shown = Map.groupBy(ranked.slice(0, NAMES_SHOWN), ({ peer }) => peer);
  return {
    subscribers: [...shown].map(([{ listener, node }, secrets]) => ({
      listener,
      node,
      secrets: secrets.map(({ name, version, filled, verdicts }) => ({ name, version, filled, ...verdicts })),
    })),
    leftOut: Math.max(0, names.length - NAMES_SHOWN),
  };
}
