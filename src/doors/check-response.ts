// The parts of Envoy's answers that several doors write.
import type { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { BackWriter } from './back-writer.ts';

// envoy.config.core.v3.HeaderValueOption.HeaderAppendAction
const OVERWRITE_IF_EXISTS_OR_ADD = 2;
const APPEND_IF_EXISTS_OR_ADD = 0;

// HeaderValueOption. `append` false must be on the wire, as an empty BoolValue, beside append_action: Envoy up to 1.36
// reads only the former, and 1.37.0 takes an absent one for "append", which doubled Authorization (envoy#43310).
export function writeHeader(w: BinaryWriter, field: number, key: string, value: string): void {
  writeOption(w, field, key, value, 2);
}

/** Beside what is there. `append` true is what Envoy up to 1.36 reads. */
export function appendHeader(w: BinaryWriter, field: number, key: string, value: string): void {
  refuseLineBreak(value);
  w.uint32(tag(field, 2)).fork();
  w.uint32(tag(1, 2)).fork().uint32(tag(1, 2)).string(key).uint32(tag(2, 2)).string(value).join();
  w.uint32(tag(2, 2)).fork().uint32(tag(1, 0)).bool(true).join();
  w.uint32(tag(3, 0)).int32(APPEND_IF_EXISTS_OR_ADD);
  w.join();
}

/** writeHeader() for a writer that goes backwards. */
export function writeHeaderBack(w: BackWriter, field: number, key: string, value: string): void {
  refuseLineBreak(value);
  const option = w.end();
  w.uint(3, OVERWRITE_IF_EXISTS_OR_ADD);
  w.open(2, w.end());
  const header = w.end();
  w.string(2, value);
  w.string(1, key);
  w.open(1, header);
  w.open(field, option);
}

/** As ext_proc reads it: `value` there means nothing and empties the header (seen on Envoy 1.36.2, 1.37.0 and 1.40.0). */
export function writeRawHeader(w: BinaryWriter, field: number, key: string, value: string): void {
  writeOption(w, field, key, value, 3);
}

// HeaderValue { key = 1, value = 2, raw_value = 3 }
function writeOption(w: BinaryWriter, field: number, key: string, value: string, valueField: 2 | 3): void {
  refuseLineBreak(value);
  w.uint32(tag(field, 2)).fork();
  w.uint32(tag(1, 2)).fork().uint32(tag(1, 2)).string(key).uint32(tag(valueField, 2)).string(value).join();
  w.uint32(tag(2, 2)).fork().join();
  w.uint32(tag(3, 0)).int32(OVERWRITE_IF_EXISTS_OR_ADD);
  w.join();
}

function refuseLineBreak(value: string): void {
  if (/[\r\n\0]/.test(value)) throw new Error('a header value with a line break');
}

export function tag(field: number, wireType: number): number {
  return (field << 3) | wireType;
}
