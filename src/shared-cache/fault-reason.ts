// Why the shared cache does not serve, as one text that says what to change. Of what Redis says only the code is used: its
// words may quote what was sent, the password among it.
import type { RedisConfig } from '../config/config.ts';
import { connectionFault, systemCode } from '../lib/connection-fault.ts';
import { CredentialError } from '../lib/errors.ts';
import { fileFault } from '../lib/file-fault.ts';

/** By the code of an error reply. */
const MEANINGS: Readonly<Record<string, string>> = {
  BUSY: 'a script holds it (BUSY): end it (SCRIPT KILL)',
  CLUSTERDOWN: 'its cluster is not whole (CLUSTERDOWN): bring the nodes of all slots back',
  LOADING: 'it loads its data (LOADING): it serves when it is done',
  MASTERDOWN: 'it is a replica without its master (MASTERDOWN): bring the master back, or name another node',
  MISCONF:
    'it cannot save, and so takes nothing that is written (MISCONF): mend its disk, or see stop-writes-on-bgsave-error',
  MOVED: 'it is a node of a cluster (MOVED): name it under redis.cluster',
  NOREPLICAS:
    'it has fewer replicas than it demands for what is written (NOREPLICAS): see min-replicas-to-write',
  OOM: 'its memory is full (OOM): raise maxmemory, or see maxmemory-policy',
  READONLY: 'it is a replica (READONLY): name the master, or redis.sentinel',
};

/** Told as they are; a code may also be what somebody made up. */
const OTHER_CODES = new Set(['CROSSSLOT', 'ERR', 'NOPROTO', 'TRYAGAIN', 'WRONGTYPE']);
const COMMANDS = new Set(
  'asking auth cluster|slots del eval get hello hget hset ping pexpire pttl publish set subscribe time xadd xrange xrevrange zadd zcard zremrangebyscore'.split(
    ' ',
  ),
);

/** The server's error replies begin with a code in capitals. */
export function replyCode(error: unknown): string | undefined {
  return error instanceof Error ? codeOf(error.message) : undefined;
}

function codeOf(reply: string): string | undefined {
  return /^[A-Z]{2,}(?= |$)/.exec(reply)?.[0];
}

/** Of a command inside a script it is told in words: ACL failure in script. */
function isOfRights(reply: string): boolean {
  return /^NOPERM|ACL failure/.test(reply);
}

export interface FaultReasons {
  /** Of an error reply, or of what kept us from connecting. */
  of(error: unknown): string;
  /** Of commands that are refused inside a script, each with its error reply's text. */
  ofCommands(refused: readonly (readonly [command: string, reply: string])[]): string;
  readonly silent: string;
  readonly senseless: string;
}

export function createFaultReasons(
  { nodes, kind, username, tls }: RedisConfig,
  tenant: string,
): FaultReasons {
  const user = username === undefined ? 'the default user' : `the user "${username}"`;
  const [first] = nodes;
  const place = kind === 'single' ? `${first?.host}:${first?.port}` : `no node of ${nodes.length}`;
  const rights = (what: string) => `${user} lacks rights (NOPERM): give it ${what} (ACL SETUSER)`;

  function rightsTo(commands: readonly string[]): string {
    const lacking = commands.map((name) => name.toLowerCase()).filter((name) => COMMANDS.has(name));
    const all = [...new Set(lacking)].map((name) => `+${name}`).join(' ');
    return rights(all === '' ? 'what docs/shared-cache.md lists' : all);
  }

  function ofReply(code: string, text: string): string {
    if (isOfRights(text)) {
      if (/access (a key|one of the keys)/.test(text)) return rights(`~bearerd:${tenant}:*`);
      if (/access (a channel|one of the channels)/.test(text)) return rights(`&bearerd:${tenant}:*`);
      return rightsTo([/run the '([a-z|]+)' command/.exec(text)?.[1] ?? '']);
    }
    if (code === 'WRONGPASS') {
      return `it refuses ${user} with this password (WRONGPASS): redis.username and redis.password must be those of a user that is on (ACL LIST)`;
    }
    if (code === 'NOAUTH')
      return 'it demands a password (NOAUTH): set redis.password, and redis.username of its user';
    if (/^ERR max number of clients/.test(text))
      return 'it has as many clients as it takes: raise its maxclients';
    if (/^ERR .*cluster support disabled/.test(text))
      return 'it is no node of a cluster: name it under redis.address';
    if (Object.hasOwn(MEANINGS, code)) return MEANINGS[code]!;
    const shown = OTHER_CODES.has(code) ? code : 'an unknown error';
    return `it refuses what bearerd asks (${shown}): Redis 7 or newer, or Valkey is needed`;
  }

  return {
    silent: `${place} gives no answer in time`,
    senseless: `${place} answers what no Redis does: is it one?`,
    of(error) {
      if (error instanceof CredentialError) {
        // The log and the page name the setting, and no path.
        return `redis.password: ${error.message.replace(/^\/.*? (?=cannot be read|is empty|is larger)/, 'the file ')}`;
      }
      if (error instanceof UnreadableAuthority) return `redis.tls.ca_file: ${error.message}`;
      const reply = replyCode(error);
      if (reply !== undefined) return ofReply(reply, (error as Error).message);
      const code = systemCode(error);
      if (code === undefined || code === 'ECONNRESET') {
        const expects = tls === undefined ? 'expect TLS' : 'speak no TLS at this port';
        return `${place} ends the connection at once: it may ${expects} (redis.tls), have as many clients as it takes (maxclients), or be no Redis`;
      }
      if (/CERTIFICATE_REQUIRED|ALERT_HANDSHAKE_FAILURE/.test(code)) {
        return 'it demands a client certificate, and bearerd sends none: tls-auth-clients no, and a password';
      }
      const setting = code === 'ERR_TLS_CERT_ALTNAME_INVALID' ? ' (redis.tls.server_name)' : '';
      return `${place} cannot be reached ${connectionFault(code)}${setting}`;
    },
    ofCommands(refused) {
      const lacking = refused.filter(([, text]) => isOfRights(text));
      const [, text] = lacking[0] ?? refused[0] ?? ['', ''];
      if (lacking.length === 0 || /access /.test(text)) return ofReply(codeOf(text) ?? '', text);
      return rightsTo(lacking.map(([command]) => command));
    },
  };
}

/** The file of a private authority cannot be used. */
export class UnreadableAuthority extends Error {
  constructor(error: unknown) {
    super(
      (error as NodeJS.ErrnoException).syscall === undefined
        ? 'it holds no certificate in PEM form'
        : `it cannot be read: ${fileFault(error)}`,
    );
  }
}
