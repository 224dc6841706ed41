// sources.NAME.exec
import * as z from 'zod';
import { refuse } from '../invalid.ts';
import { duration, parsed } from '../schema-values.ts';
import { sourceKind } from './kind.ts';

export interface ExecConfig {
  readonly type: 'exec';
  /** The program, absolute, and its arguments. */
  readonly command: readonly string[];
  /** Names of variables that the program inherits. */
  readonly env: readonly string[];
  readonly timeoutMs: number;
}

const command = parsed(z.array(z.string()).min(1), (words) => {
  if (!words[0]!.includes('/')) {
    refuse(`expected the file of the program, e.g. /usr/local/bin/${words[0]}: nothing is looked up in PATH`);
  }
  if (words.some((word) => word.includes('\0'))) refuse('an argument holds a NUL');
  return words;
});

const schema = z
  .strictObject({
    command: command.describe(
      'Program and arguments, without a shell: [/usr/local/bin/token, --audience, orders]. Relative: to this file.',
    ),
    env: z
      .array(
        z
          .string()
          .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'expected the name of an environment variable' }),
      )
      .default([])
      .describe(
        'Names of variables that the program gets from the environment. Default: none, not even PATH.',
      ),
    timeout: duration({ minMs: 10, maxMs: 5_000 })
      .prefault('4s')
      .describe('After it the program and all that it started are killed; 10ms to 5s. Default 4s.'),
  })
  .describe('A program that prints an ExecCredential of Kubernetes (client.authentication.k8s.io/v1).');

export const execCommand = sourceKind({
  schema,
  toConfig: ({ command: [program, ...args], env, timeout }, path): ExecConfig => ({
    type: 'exec',
    command: [path(program!), ...args],
    env,
    timeoutMs: timeout,
  }),
  renewable: true,
  providerUrls: [],
});
