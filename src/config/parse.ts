// Text to Config: every problem at once, then the file's words to the program's, frozen.
import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';
import { ConfigError, type ConfigProblem } from '../lib/errors.ts';
import { bundlePath, localKeys } from './bundle-bounds.ts';
import { crossProblems } from './checks.ts';
import type {
  AuditConfig,
  CheckListenConfig,
  Config,
  SourceConfig,
  StatusListenConfig,
  TlsConfig,
} from './config.ts';
import type { ConfigText } from './config-texts.ts';
import { toInbound } from './inbound/parse.ts';
import { inlineProblems } from './inline-secrets.ts';
import { type MergedDocument, mergeDocuments, type Part } from './merged-document.ts';
import { toOutbound } from './parse-outbound.ts';
import { toPolicySources } from './policy-sources.ts';
import { problemAt, shapeProblems } from './problems.ts';
import { referenceProblems } from './references.ts';
import { type ConfigFile, configFile } from './schema.ts';
import { toPolicyBundle } from './schema-bundle.ts';
import { toSharedCache } from './schema-shared-cache.ts';
import { kindOf, kinds } from './source/kinds.ts';
import { resolveSecretRef } from './source/secret-ref.ts';
import { type Path, parseYaml } from './yaml-document.ts';

type FileSource = ConfigFile['sources'][string];

/** Relative paths inside are relative to `file`. Throws ConfigError with every problem. */
export function parseConfig(text: string, file: string): Config {
  return parseConfigTexts([{ file, text }], file);
}

/** `path`: what the texts are together, for messages. Throws ConfigError with every problem of every text. */
export function parseConfigTexts(texts: readonly ConfigText[], path: string): Config {
  const { file, document, problems, isWhole } = readShape(texts);
  const folder = dirname(resolve(texts[0]!.file));
  const all = [
    ...problems,
    ...(isWhole ? referenceProblems(document) : []),
    ...(isWhole && problems.length > 0 ? inlineProblems(document) : []),
    ...(problems.length === 0 ? crossProblems(file!, document, folder) : []),
  ];
  if (all.length > 0) throw new ConfigError(path, inOrder(all, texts));
  return deepFreeze(toConfig(file!, folder, document));
}

/**
 * What can be told of the texts by themselves, without what spans several keys: of a bundle that is wherever it goes. Throws
 * ConfigError.
 */
export function parseShape(
  texts: readonly ConfigText[],
  path: string,
): { readonly file: ConfigFile; readonly document: MergedDocument } {
  const { file, document, problems } = readShape(texts);
  if (problems.length > 0) throw new ConfigError(path, inOrder(problems, texts));
  return { file: file!, document };
}

interface Shape {
  /** undefined where there are problems. */
  readonly file: ConfigFile | undefined;
  readonly document: MergedDocument;
  readonly problems: readonly ConfigProblem[];
  /** Nothing is told of what a broken file lacks: it may stand in it. */
  readonly isWhole: boolean;
}

function readShape(texts: readonly ConfigText[]): Shape {
  const { parts, problems } = parseParts(texts);
  const document = mergeDocuments(parts);
  const { data: file, error } = configFile.safeParse(document.value);
  const shape =
    error === undefined || parts.length === 0 ? [] : shapeProblems(document, error.issues, configFile);
  return {
    ...{ file, document },
    problems: [...problems, ...document.problems, ...shape],
    isWhole: parts.length === texts.length,
  };
}

/** Each as YAML of a version that is known; what is not, is told and left out. */
function parseParts(texts: readonly ConfigText[]): {
  parts: readonly Part[];
  problems: readonly ConfigProblem[];
} {
  const parts: Part[] = [];
  const problems: ConfigProblem[] = [];
  for (const origin of texts) {
    const { file } = origin;
    try {
      const document = parseYaml(origin.text, file);
      if (typeof document.value !== 'object' || Array.isArray(document.value)) {
        const message = 'expected keys and values, beginning with version: 1';
        problems.push({ ...problemAt(document, [], message), file });
        continue;
      }
      const version = (document.value as { version?: unknown } | null)?.version;
      if (typeof version === 'number' && version > 1) {
        const message = `expected version: 1, got ${version}: a newer bearerd reads it; of what it means nothing is known here`;
        problems.push({ ...problemAt(document, ['version'], message), file });
      } else if (texts.length > 1 && version === undefined) {
        problems.push({
          ...problemAt(document, ['version'], 'missing: expected version: 1 in each file', true),
          file,
        });
      } else {
        const part = { origin, document };
        const local = localKeys(part);
        if (local.length === 0) parts.push(part);
        for (const key of local) {
          const message = 'is for the local file: a bundle has version, sources and outbound';
          problems.push({ ...problemAt(document, [key], message, true), file });
        }
      }
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(...error.problems.map((problem) => ({ ...problem, file })));
    }
  }
  return { parts, problems };
}

function toConfig(file: ConfigFile, folder: string, document: MergedDocument): Config {
  const local = (path: string) => resolve(folder, path);
  const ofBundle = bundlePath(file, folder);
  const pathOf = (at: Path) => (document.originOf(at)?.ofBundle ? ofBundle : local);
  const stated = Object.entries(file.sources).map(([name, source]) =>
    toSource(name, source, pathOf(['sources', name])),
  );
  const exchanged = (file.inbound?.policies ?? []).flatMap(({ token }) =>
    typeof token === 'object' ? [token.exchange] : [],
  );
  const { sources, ofPolicy, named } = toPolicySources(file.outbound, stated, exchanged);
  return {
    version: 1,
    mode: file.mode,
    listen: {
      check: file.listen.check && toCheckListen(file.listen.check, folder),
      checkInbound: file.listen.check_inbound && toCheckListen(file.listen.check_inbound, folder),
      xds: file.listen.xds.map((entry) => ({ ...entry, sources: entry.sources?.flatMap(named) })),
      health: file.listen.health,
      admin: file.listen.admin,
      status: file.listen.status && toStatusListen(file.listen.status, folder),
    },
    sources,
    outbound: file.outbound.map((policy, i) =>
      toOutbound(
        policy,
        sources.find(({ name }) => name === ofPolicy[i]),
        pathOf(['outbound', i]),
      ),
    ),
    inbound: file.inbound && toInbound(file.inbound, local),
    unmatched: file.unmatched,
    unboundAuthorization: file.unbound_authorization,
    ambiguousPath: file.ambiguous_path,
    maxWaitMs: file.max_wait,
    startupWaitMs: file.startup_wait,
    limits: {
      credentialBytes: file.limits.credential_bytes,
      refreshesPerHour: file.limits.refreshes_per_hour,
      forcedRefreshesPerHour: file.limits.forced_refreshes_per_hour,
      firstFetchesPerSecond: file.limits.first_fetches_per_second,
    },
    feedback: { responseHeaders: file.feedback.response_headers },
    accessLog: file.access_log,
    audit: file.audit && toAudit(file.audit, folder),
    envoyAdmin: file.envoy_admin,
    stateDir: file.state_dir === undefined ? undefined : local(file.state_dir),
    policyBundle: file.policy_bundle && toPolicyBundle(file.policy_bundle, local),
    sharedCache: file.shared_cache && toSharedCache(file.shared_cache, local, named),
    tracing: file.tracing && { otlpEndpoint: file.tracing.otlp_endpoint, sample: file.tracing.sample },
    log: { level: file.log.level },
  };
}

function toAudit(audit: NonNullable<ConfigFile['audit']>, folder: string): AuditConfig {
  const { sink, rotate_bytes, keep_days, key, node } = audit;
  const path = (relative: string) => resolve(folder, relative);
  return {
    sink:
      sink === 'stdout'
        ? { kind: 'stdout' }
        : { kind: 'file', path: path(sink.file), rotateBytes: rotate_bytes, keepDays: keep_days },
    key: key && resolveSecretRef(key, path),
    node: node ?? hostname(),
  };
}

function toCheckListen(check: CheckListenConfig, folder: string): CheckListenConfig {
  return { ...check, tls: check.tls && toTls(check.tls, folder) };
}

function toStatusListen(
  { address, token, tls, hosts }: NonNullable<ConfigFile['listen']['status']>,
  folder: string,
): StatusListenConfig {
  return {
    listener: address,
    token: token && resolveSecretRef(token, (path) => resolve(folder, path)),
    tls: tls && toTls(tls, folder),
    hosts,
  };
}

function toTls(tls: TlsConfig, folder: string): TlsConfig {
  return {
    ...tls,
    certificate: resolve(folder, tls.certificate),
    privateKey: resolve(folder, tls.privateKey),
    clientCa: resolve(folder, tls.clientCa),
  };
}

function toSource(name: string, source: FileSource, path: (relative: string) => string): SourceConfig {
  const type = kindOf(source);
  // Each kind takes what its own schema gave: TypeScript cannot see that through the union.
  const toConfig = kinds[type].toConfig as (value: unknown, path: (relative: string) => string) => object;
  const own = toConfig(source[type], path);
  const { required, max_lifetime: maxLifetimeMs, fallback, environment, owner, hosts } = source;
  const bound: object = hosts === undefined ? own : { hosts, ...own };
  return { name, required, maxLifetimeMs, fallback, environment, owner, ...bound } as SourceConfig;
}

/** By file, line and column. */
function inOrder(problems: readonly ConfigProblem[], texts: readonly ConfigText[]): readonly ConfigProblem[] {
  const at = ({ file }: ConfigProblem) => texts.findIndex((text) => text.file === file);
  return [...problems].sort(
    (a, b) => at(a) - at(b) || (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0),
  );
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
