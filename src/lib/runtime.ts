// What the environment does to this process, and what we do against it: a credential must not leave by a core file, a
// debugger or a report that somebody once switched on.

export interface RuntimeReport {
  /** Version of Node. */
  readonly node: string;
  /** Names, without values, of what NODE_OPTIONS, NODE_DEBUG and their like switch on. */
  readonly options: readonly string[];
  /** Those of them by which memory or traffic could leave this process. */
  readonly risky: readonly string[];
  /** Whether the kernel was told to leave memory out of core files. */
  readonly coreFilesEmpty: boolean;
}

/** Anything that writes memory, traffic or the environment out, or runs code of somebody else. */
const RISKY =
  /^(--inspect|--heapsnapshot|--heap-prof|--cpu-prof|--report|--diagnostic-dir|--trace|--require|-r$|--import|--(experimental-)?loader|--node-snapshot|--abort-on|NODE_DEBUG|NODE_V8_COVERAGE|SSLKEYLOGFILE|--tls-keylog)/;

/** Variables that Node itself reads and that print traffic or write files. */
const VARIABLES = ['NODE_DEBUG', 'NODE_DEBUG_NATIVE', 'NODE_V8_COVERAGE', 'SSLKEYLOGFILE'];

export function parseRuntime(
  env: Readonly<Record<string, string | undefined>>,
  node: string,
  coreFilesEmpty: boolean,
): RuntimeReport {
  const options = [
    ...(env['NODE_OPTIONS'] ?? '')
      .split(/\s+/)
      .filter((word) => word.startsWith('-'))
      .map((word) => word.split('=', 1)[0]!.replaceAll('_', '-')),
    ...VARIABLES.filter((name) => env[name]),
  ];
  return { node, options, risky: options.filter((name) => RISKY.test(name)), coreFilesEmpty };
}
