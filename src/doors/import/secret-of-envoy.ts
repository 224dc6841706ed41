// A secret as Envoy's configuration names it: by SDS, or among the static ones of a bootstrap. Its value is never read.
import { type Json, json, list, objectsIn } from '../envoy-json.ts';

export interface EnvoySecret {
  readonly name: string;
  /** File of SDS, where one is named. */
  readonly sdsFile: string | undefined;
  /** Where a static one has its bare value; undefined = by SDS, or not told. */
  readonly bare:
    | { readonly from: 'file' | 'env'; readonly place: string }
    | { readonly from: 'inline' | 'hidden' }
    | undefined;
}

/** By name, the static secrets of a configuration. */
export function staticSecrets(configuration: unknown): ReadonlyMap<string, Json> {
  const found = new Map<string, Json>();
  for (const { object } of objectsIn(configuration)) {
    for (const entry of list(object['secrets'])) {
      const { name, generic_secret } = json(entry);
      if (typeof name === 'string' && generic_secret !== undefined)
        found.set(name, json(json(generic_secret)['secret']));
    }
  }
  return found;
}

export function secretOf(value: unknown, statics: ReadonlyMap<string, Json>): EnvoySecret {
  const { name: given, sds_config } = json(value);
  const name = typeof given === 'string' ? given : '';
  if (sds_config !== undefined) {
    const { path } = json(json(sds_config)['path_config_source']);
    const file = path ?? json(sds_config)['path'];
    return { name, sdsFile: typeof file === 'string' ? file : undefined, bare: undefined };
  }
  const source = statics.get(name) ?? {};
  // A dump hides both the value and where it is.
  const hidden = Object.values(source).includes('[redacted]');
  const place = (key: string) => (typeof source[key] === 'string' && !hidden ? source[key] : undefined);
  const file = place('filename');
  const env = place('environment_variable');
  const inline = 'inline_string' in source || 'inline_bytes' in source;
  return {
    name,
    sdsFile: undefined,
    bare:
      file !== undefined
        ? { from: 'file', place: file }
        : env !== undefined
          ? { from: 'env', place: env }
          : hidden || inline
            ? { from: hidden ? 'hidden' : 'inline' }
            : undefined,
  };
}
