// One source as the configuration reads it: YAML below `sources.orders`, in production mode.
import assert from 'node:assert/strict';
import type { SourceConfig } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { ConfigError } from '../../src/lib/errors.ts';

/** Relative paths become paths in /etc/bearerd. Throws ConfigError. */
export function sourceOf(yaml: string): SourceConfig {
  const indented = yaml.replaceAll(/^/gm, '    ');
  const text = `version: 1\nlisten: { xds: "unix:///x.sock" }\nsources:\n  orders:\n${indented}\n`;
  return parseConfig(text, '/etc/bearerd/bearerd.yaml').sources[0]!;
}

/** `PATH: MESSAGE` of each, PATH below the source. */
export function problemsOf(yaml: string): readonly string[] {
  try {
    sourceOf(yaml);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    for (const { line } of error.problems) assert.ok(line !== undefined && line > 3, 'no place in the file');
    return error.problems.map(({ path, message }) => `${path.replace('sources.orders.', '')}: ${message}`);
  }
  assert.fail('no problem found');
}
