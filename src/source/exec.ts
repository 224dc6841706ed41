// A program that prints a credential. Bounded in time and output, without a shell, its standard error never logged.
import type { SourceConfig } from '../config/config.ts';
import type { TokenSource } from '../credential/credential.ts';
import { type RunResult, runBounded } from '../lib/bounded-process.ts';
import { CredentialError } from '../lib/errors.ts';
import { invalidResponse } from '../provider-http/errors.ts';
import { EXEC_INFO, parseExecCredential } from './exec-credential.ts';
import { expiryOf } from './jwt-expiry.ts';
import type { SourceDeps } from './registry.ts';

type ExecConfig = Extract<SourceConfig, { type: 'exec' }>;

const MAX_OUTPUT_BYTES = 64 << 10;

export function createExecSource(config: ExecConfig, { clock, env }: SourceDeps): TokenSource {
  const { name, command, timeoutMs } = config;
  const environment: Record<string, string> = { KUBERNETES_EXEC_INFO: EXEC_INFO };
  for (const key of config.env) {
    const value = env[key];
    if (value !== undefined) environment[key] = value;
  }

  return {
    name,
    type: 'exec',
    endpoint: `exec:${name}`,
    syntax: 'header_value',
    perSubject: false,
    async issue({ signal }) {
      const limit = new AbortController();
      const timer = clock.setTimer(() => limit.abort(), timeoutMs);
      try {
        const result = await runBounded({
          command,
          env: environment,
          signal: AbortSignal.any([signal, limit.signal]),
          maxBytes: MAX_OUTPUT_BYTES,
        });
        const { token, expiresAt } = parseExecCredential(outputOf(result, timeoutMs));
        const end = Math.min(
          expiresAt ?? Number.POSITIVE_INFINITY,
          expiryOf(token.reveal()) ?? Number.POSITIVE_INFINITY,
        );
        if (end === Number.POSITIVE_INFINITY) return { value: token, lifetimeMs: undefined };
        const lifetimeMs = end - clock.now();
        if (lifetimeMs <= 0) throw invalidResponse('the program printed a credential that has expired');
        return { value: token, lifetimeMs };
      } finally {
        timer.cancel();
      }
    },
  };
}

/** Throws CredentialError. What the program said is for whoever runs it by hand. */
function outputOf(result: RunResult, timeoutMs: number): string {
  switch (result.outcome) {
    case 'exited':
      if (result.code === 0) return result.stdout;
      // It may be a refusal, and after one no fallback may help out.
      throw new CredentialError(
        'source_rejected',
        `the program ended with code ${result.code} and ${result.stderrBytes} bytes on standard error, which are not logged: run it by hand`,
        { retryable: true },
      );
    case 'killed':
      throw unavailable(`the program was ended by ${result.by}`);
    case 'not_started':
      throw unavailable(`the program cannot be started: ${result.code}`);
    case 'too_much_output':
      throw invalidResponse(`the program printed more than ${MAX_OUTPUT_BYTES} bytes`);
    case 'aborted':
      throw new CredentialError(
        'source_timeout',
        `the program did not end within ${timeoutMs} ms and was killed`,
        {
          retryable: true,
        },
      );
  }
}

function unavailable(message: string): CredentialError {
  return new CredentialError('source_unavailable', message, { retryable: true });
}
