/** One decoded header field. */
export interface HeaderField {
  /** Latin-1, as sent: not yet validated. */
  readonly name: string;
  /** Bytes: most values are never looked at. */
  readonly value: Buffer;
}

/** Size of an entry in a table and in a header list. RFC 7541, section 4.1. */
export function fieldBytes(field: HeaderField): number {
  return field.name.length + field.value.length + 32;
}
