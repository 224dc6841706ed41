// The SDS resource name of a credential: one per source and prefix, since the prefix is part of the pushed value.

/**
 * The source's name when the prefix is the usual `Bearer `, else the name, a slash and the prefix percent-encoded
 * (`legacy/` for none, `legacy/Token%20`). Source names hold no slash.
 */
export function secretName(source: string, prefix: string): string {
  return prefix === 'Bearer ' ? source : `${source}/${encodeURIComponent(prefix)}`;
}
