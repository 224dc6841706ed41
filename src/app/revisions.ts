// One configuration after the other: from local files and the policy bundle, whole or not at all, and what is told of each.
import type { PolicyBundle } from '../bundle/policy-bundle.ts';
import type { VerifiedBundle } from '../bundle/signed-bundle.ts';
import type { Config } from '../config/config.ts';
import { type ConfigText, textsOfBundle } from '../config/config-texts.ts';
import { ConfigError, problemText } from '../lib/errors.ts';
import { contentHash, fingerprint } from '../lib/fingerprint.ts';
import { IN_FORCE } from '../telemetry/logger.ts';
import { announce } from './announce.ts';
import { refuseRestarts } from './changes.ts';
import type { InForce } from './in-force.ts';
import type { Status } from './status.ts';
import type { Telemetry } from './telemetry.ts';

/** Reads the local configuration, with the texts of a bundle behind it. Rejects with ConfigError. */
export type LoadConfig = (bundle: readonly ConfigText[]) => Promise<Config>;

export interface Revisions {
  /** Of the configuration in force. */
  readonly hash: string;
  /** Tells of the first one. */
  start(): void;
  /** Resolves with whether it was taken over; one with problems is told of, and the one in force stays. */
  reload(load: LoadConfig): Promise<boolean>;
  /** Rejects with ConfigError, and then nothing has changed. */
  takeBundle(bundle: VerifiedBundle, load: LoadConfig): Promise<void>;
  status(): Status['configuration'];
}

export interface RevisionsDeps extends Pick<Telemetry, 'observer' | 'logger' | 'audit'> {
  readonly inForce: InForce;
  /** The one that the first configuration was read with is in it by now. */
  readonly bundle: PolicyBundle | undefined;
  readonly now: () => number;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export function createRevisions(deps: RevisionsDeps): Revisions {
  const { inForce, bundle, observer, logger, audit, now, env } = deps;
  let bundleTexts = bundle?.current === undefined ? [] : textsOfBundle(bundle.current);
  /** Counts up with each that is taken over. */
  let revision = 1;
  let hash = shortHash(inForce.given);
  let since = now();
  let refused: string | undefined;

  async function takeOver(next: Config): Promise<void> {
    const { given } = inForce;
    if (fingerprint(next) === fingerprint(given)) return;
    refuseRestarts(given, next, 'the new configuration');
    if (!(await inForce.exchange(next))) return;
    announce(next, observer, env);
    revision++;
    hash = shortHash(next);
    since = now();
    logger.level = next.log.level;
    observer.configurationTaken(revision, hash);
    audit?.record('configuration_taken', { revision, hash });
  }

  function tellInForce(): void {
    logger.info({ operation: 'configuration_in_force', revision, hash }, IN_FORCE);
  }

  return {
    get hash() {
      return hash;
    },
    start() {
      tellInForce();
      announce(inForce.given, observer, env);
    },
    reload(load) {
      // Who asks for the local files to be read again would not wait for the rest.
      bundle?.askNow();
      return inForce.inTurn(async () => {
        try {
          const before = revision;
          await takeOver(await load(bundleTexts));
          inForce.store.reconsider();
          // The file was mended to what is in force: the last line would go on saying that it is refused.
          if (refused !== undefined && revision === before) tellInForce();
          refused = undefined;
          return true;
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error;
          refused = error.problems.map(problemText).join('; ');
          observer.configurationRefused(error.file, refused);
          audit?.record('configuration_refused', { problems: error.problems.length });
          return false;
        }
      });
    },
    takeBundle: (next, load) =>
      inForce.inTurn(async () => {
        const texts = textsOfBundle(next);
        await takeOver(await load(texts));
        bundleTexts = texts;
      }),
    status: () => ({ revision, hash, since: new Date(since).toISOString(), refused }),
  };
}

function shortHash(config: Config): string {
  return contentHash(config).slice(0, 16);
}
