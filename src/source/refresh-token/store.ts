// Where a refresh token is kept: what is known of it, and who may use it now.
import { Secret } from '../../lib/secret.ts';

export interface StoredRefreshToken {
  readonly token: Secret;
  /** Epoch ms of the login that began this line of tokens; a later login replaces it. */
  readonly loginAt: number;
  /** Epoch ms when the provider ends it; undefined = nobody told. */
  readonly expiresAt: number | undefined;
  /** Epoch ms of a call with it whose answer is not known: written before the call, so that a crash is noticed. */
  readonly askedAt: number | undefined;
  /** The provider's error code that ended it; it is never sent again. */
  readonly refusedWith: string | undefined;
}

/** While it is held nobody else uses or changes the token. Both reject with CredentialError store_unavailable. */
export interface HeldRefreshToken {
  /** undefined = nobody has logged in yet. */
  read(): Promise<StoredRefreshToken | undefined>;
  /** Safe from a crash when it resolves. */
  write(next: StoredRefreshToken): Promise<void>;
}

export interface RefreshTokenStore {
  /** For messages: a path or the name of a key. */
  readonly place: string;
  /** Rejects with CredentialError store_unavailable, also when another holder has it. */
  exclusively<T>(work: (held: HeldRefreshToken) => Promise<T>): Promise<T>;
  /** Whether an offer would be kept, as far as one can tell before. Rejects with CredentialError. */
  checkOffer(): Promise<void>;
  /** What a login obtained. Whoever holds takes it at its next use, so that login and sidecar may run at once. */
  offer(next: StoredRefreshToken): Promise<void>;
  /** Calls `changed` after an offer or a changed key. Returns the way to stop watching. */
  watch(changed: () => void): () => void;
  close(): Promise<void>;
}

export function refreshTokenText(stored: StoredRefreshToken): string {
  return JSON.stringify({ ...stored, token: stored.token.reveal() });
}

/** undefined = not what refreshTokenText makes. */
export function parseRefreshToken(text: string): StoredRefreshToken | undefined {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const { token, loginAt, expiresAt, askedAt, refusedWith } = value;
  const isTime = (at: unknown): at is number | undefined => at === undefined || typeof at === 'number';
  if (typeof token !== 'string' || typeof loginAt !== 'number' || !isTime(expiresAt) || !isTime(askedAt)) {
    return undefined;
  }
  if (refusedWith !== undefined && typeof refusedWith !== 'string') return undefined;
  return { token: new Secret(token), loginAt, expiresAt, askedAt, refusedWith };
}
