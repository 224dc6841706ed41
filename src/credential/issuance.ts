// One call of a token source: bounded in time, its answer checked, turned into a credential. When to call is others' part.
import type { Clock } from '../lib/clock.ts';
import { CredentialError } from '../lib/errors.ts';
import type { Observer } from '../telemetry/observer.ts';
import type { Credential, IssueRequest, TokenSource } from './credential.ts';
import { buildCredential, effectiveLifetimeMs, refreshDelayMs } from './lifetime.ts';
import { BACKGROUND_PATIENCE_MS, CALL_MS } from './numbers.ts';
import { validateToken } from './token-syntax.ts';

export interface IssuanceDeps {
  readonly source: TokenSource;
  readonly maxLifetimeMs: number | undefined;
  readonly clock: Clock;
  readonly observer: Observer;
  readonly random: () => number;
  /** Counts up over all sources. */
  readonly nextGeneration: () => number;
}

export interface Obtained {
  readonly credential: Credential;
  /** Of the whole credential, milliseconds; Infinity = it never ends by itself. */
  readonly lifetimeMs: number;
  /** Until the background refresh, milliseconds; Infinity = none by time. */
  readonly refreshDelayMs: number;
}

/** Why a call is made; nothing of it = in the background, because of the time. */
export type Why = Partial<Omit<IssueRequest, 'signal'>>;

export interface Issuance {
  /** Rejects with CredentialError only, 5 s after its turn had to come at the latest. Tells the observer of the result. */
  obtain(why: Why): Promise<Obtained>;
  /** Ends every call under way. */
  abort(): void;
}

export function createIssuance(deps: IssuanceDeps): Issuance {
  const { source, clock, observer } = deps;
  const controllers = new Set<AbortController>();

  async function issue(why: Why): Promise<Obtained> {
    const { neededBy, leftMs, refused, subject } = why;
    const controller = new AbortController();
    controllers.add(controller);
    // The endpoint limits the call itself; this is for what calls none.
    const limit = clock.setTimer(() => controller.abort(), turnMs(why) + CALL_MS);
    try {
      const issued = await Promise.race([
        source.issue({ signal: controller.signal, neededBy, leftMs, refused, subject }),
        aborted(controller.signal),
      ]);
      validateToken(issued.value.reveal(), source.syntax);
      const lifetimeMs = effectiveLifetimeMs(issued, deps.maxLifetimeMs);
      if (!(lifetimeMs > 0)) {
        throw new CredentialError('source_invalid_response', 'the credential has no life left', {
          retryable: true,
        });
      }
      return {
        credential: buildCredential(source.name, issued, lifetimeMs, deps.nextGeneration(), clock),
        lifetimeMs,
        refreshDelayMs: refreshDelayMs(issued, lifetimeMs, deps.random),
      };
    } finally {
      limit.cancel();
      controllers.delete(controller);
    }
  }

  /** When its turn has to come at the latest, from now. */
  function turnMs({ neededBy, leftMs, refused }: Why): number {
    if (neededBy !== undefined) return Math.max(0, neededBy - clock.monotonic());
    if (refused !== undefined) return CALL_MS;
    return Math.min(leftMs ?? BACKGROUND_PATIENCE_MS, BACKGROUND_PATIENCE_MS);
  }

  return {
    async obtain(why) {
      const startedAt = clock.monotonic();
      const ended = (result: 'ok' | CredentialError['code']) =>
        observer.refreshEnded(source.name, result, clock.monotonic() - startedAt, why.refused !== undefined);
      try {
        const obtained = await issue(why);
        ended('ok');
        return obtained;
      } catch (error) {
        const known = toKnown(error);
        if (known !== error) observer.unexpected(`source ${source.name}`, error);
        ended(known.code);
        throw known;
      }
    },
    abort() {
      for (const controller of controllers) controller.abort();
    },
  };
}

function toKnown(error: unknown): CredentialError {
  if (error instanceof CredentialError) return error;
  return new CredentialError('source_unavailable', 'unexpected failure of the source', {
    retryable: true,
    cause: error,
  });
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () =>
      reject(new CredentialError('source_timeout', 'no answer in time', { retryable: true }));
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
}
