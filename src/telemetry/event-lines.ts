// What each line of an event carries beside its own fields: the operation, which is the event's name and stays when words
// change, and the version of what its source goes on with.
import type { LogFields, Logger } from './logger.ts';
import type { Observer } from './observer.ts';

interface Version {
  readonly generation: number;
  readonly keyId: string | undefined;
}

/** `linesOf` writes to the log that it is given, each line before the event has returned. */
export function createEventLines(log: Logger, linesOf: (log: Logger) => Observer): Observer {
  const versions = new Map<string, Version>();
  let operation = '';

  /** A line about one key of several, or about another credential than the current one, has that one's version alone. */
  function completed(fields: LogFields): LogFields {
    const { source, keyId } = fields;
    const current = typeof source === 'string' ? versions.get(source) : undefined;
    const isOther =
      keyId !== undefined || ('generation' in fields && fields['generation'] !== current?.generation);
    return { operation, ...fields, ...(isOther ? undefined : current) };
  }

  const lines = linesOf({
    get level() {
      return log.level;
    },
    set level(level) {
      log.level = level;
    },
    debug: (fields, message) => log.debug(completed(fields), message),
    info: (fields, message) => log.info(completed(fields), message),
    warn: (fields, message) => log.warn(completed(fields), message),
    error: (fields, message) => log.error(completed(fields), message),
  });
  const named = Object.entries(lines).map(([name, tell]: [string, (...args: never[]) => unknown]) => {
    const event = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    return [
      name,
      (...args: never[]) => {
        operation = event;
        return tell(...args);
      },
    ];
  });
  const observer = Object.fromEntries(named) as Observer;
  return {
    ...observer,
    credentialPublished(source, generation, expiresAt, keyId, issuedBy) {
      versions.set(source, { generation, keyId });
      observer.credentialPublished(source, generation, expiresAt, keyId, issuedBy);
    },
    credentialExpired(source, generation) {
      observer.credentialExpired(source, generation);
      versions.delete(source);
    },
  };
}
