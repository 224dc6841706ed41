// sources.NAME.file
import * as z from 'zod';
import { parseJsonPointer } from '../oauth-values.ts';
import { filePath, parsed } from '../schema-values.ts';
import { sourceKind } from './kind.ts';

export interface FileConfig {
  readonly type: 'file';
  readonly path: string;
  readonly format: 'raw' | 'json';
  /** RFC 6901. */
  readonly pointer: string;
}

const schema = z
  .strictObject({
    path: filePath.describe(
      'File that somebody else renews; read again when it changes. Relative: to this file.',
    ),
    format: z
      .enum(['raw', 'json'])
      .default('raw')
      .describe('raw: the whole file; json: one value in it. Default raw.'),
    pointer: parsed(z.string(), parseJsonPointer)
      .optional()
      .describe('Where the token stands in JSON, RFC 6901. Default /access_token. Only with format: json.'),
  })
  .check(({ value, issues }) => {
    if (value.pointer === undefined || value.format === 'json') return;
    issues.push({ code: 'custom', message: 'pointer is for format: json', path: ['pointer'], input: value });
  })
  .describe('A token in a file.');

export const tokenFile = sourceKind({
  schema,
  toConfig: ({ path, format, pointer }, absolute): FileConfig => ({
    type: 'file',
    path: absolute(path),
    format,
    pointer: pointer ?? '/access_token',
  }),
  renewable: false,
  providerUrls: [],
});
