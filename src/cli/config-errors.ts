// Problems of a configuration as lines that editors and CI systems can jump to: FILE:LINE:COLUMN: path: message.
import { type ConfigError, problemText } from '../lib/errors.ts';

export function configErrorText({ file, problems }: ConfigError): string {
  const lines = problems.map((problem) =>
    problem.line === undefined
      ? `${problem.file ?? file}: ${problemText({ ...problem, file: undefined })}\n`
      : `${problemText({ ...problem, file: problem.file ?? file })}\n`,
  );
  return `${lines.join('')}${problems.length} problem${problems.length === 1 ? '' : 's'}\n`;
}
