// JSON and YAML as protobuf reads them, in one form: fields by the names of the .proto files, messages by their own type.
// https://protobuf.dev/programming-guides/json and xds.type.v3.TypedStruct. Pure.
import { isType, json } from '../envoy-json.ts';

/** Fields that are maps: their keys are names which somebody gave, and stay as they are. */
const MAPS = new Set(['typed_per_filter_config', 'typed_extension_protocol_options', 'filter_metadata']);

/** What nests four hundred deep is no configuration. */
const MAX_DEPTH = 400;

export function protoJson(value: unknown, isMap = false, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) return undefined;
  if (Array.isArray(value)) return value.map((item) => protoJson(item, false, depth + 1));
  const fields = Object.entries(value).map(([key, inner]) => {
    const name = isMap ? key : fieldName(key);
    return [name, protoJson(inner, MAPS.has(name), depth + 1)] as const;
  });
  return unwrapped(Object.fromEntries(fields));
}

/** lowerCamelCase, as istioctl prints it, or as in the .proto file: both are allowed. */
function fieldName(key: string): string {
  if (!/^[a-z][a-z0-9]*(?:[A-Z][a-z0-9]*)+$/.test(key)) return key;
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A message inside an Any, and one that is told as a Struct with the name of its type. */
function unwrapped(object: Readonly<Record<string, unknown>>): unknown {
  if (isType(object, '.TypedStruct') && typeof object['type_url'] === 'string') {
    return { ...json(object['value']), '@type': object['type_url'] };
  }
  return isType(object, 'google.protobuf.Any') ? object['value'] : object;
}

/** Of an enum, by its name or its number. `names` from 0 on; undefined = none of them. */
export function enumName<T extends string>(value: unknown, names: readonly T[]): T | undefined {
  if (value === undefined || value === null) return names[0];
  return names.find((name, number) => value === name || value === number || value === String(number));
}
