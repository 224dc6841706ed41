// Why a file cannot be read, in words: the system's code, and what it means for whoever named the file.

const MEANINGS: Readonly<Record<string, string>> = {
  EACCES: 'this user may not read it',
  EISDIR: 'it is a directory',
  ELOOP: 'its links lead round in a circle',
  ENOENT: 'there is no such file',
  ENOTDIR: 'a part of the path before it is no directory',
};

/** `ENOENT (there is no such file)` */
export function fileFault(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) return 'unknown fault';
  return Object.hasOwn(MEANINGS, code) ? `${code} (${MEANINGS[code]})` : code;
}
