// Reading a CheckResponse: the value of the authorization header that it injects.
import { BinaryReader } from '@bufbuild/protobuf/wire';

/** Undefined when it injects none. */
export function injectedAuthorization(response: Uint8Array): string | undefined {
  let found: string | undefined;
  const pair: Record<number, string> = {};
  const text = (field: number) => (bytes: Uint8Array) => {
    pair[field] = Buffer.from(bytes).toString();
  };
  // CheckResponse.ok_response.headers[].header { key, value, raw_value }
  const header = (bytes: Uint8Array) => {
    fields(bytes, { 1: text(1), 2: text(2), 3: text(2) });
    if (pair[1] === 'authorization') found = pair[2];
  };
  fields(response, { 3: (ok) => fields(ok, { 2: (option) => fields(option, { 1: header }) }) });
  return found;
}

function fields(message: Uint8Array, readers: Record<number, (bytes: Uint8Array) => void>): void {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    const read = readers[field];
    if (read !== undefined && type === 2) read(reader.bytes());
    else reader.skip(type, field);
  }
}
