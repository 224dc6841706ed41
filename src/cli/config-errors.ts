// Problems of a configuration as lines that editors and CI systems can jump to: FILE:LINE:COLUMN: path: message.
import type { ConfigError } from '../lib/errors.ts';

export function configErrorText({ file, problems }: ConfigError): string {
  const lines = problems.map(({ path, line, column, message }) => {
    const place = line === undefined ? file : `${file}:${line}:${column}`;
    return `${place}: ${path === '' ? '' : `${path}: `}${message}\n`;
  });
  return `${lines.join('')}${problems.length} problem${problems.length === 1 ? '' : 's'}\n`;
}
