// Our wall clock against a provider's, by the Date of its answers (RFC 9110 section 6.6.1). Half of a call's time and half of
// the second that Date is cut to are the error: far below what matters.

/** Milliseconds that we are ahead; undefined = the answer tells nothing, or came from a cache. Both times are epoch ms. */
export function clockSkewMs(headers: Headers, sentAt: number, receivedAt: number): number | undefined {
  const date = Date.parse(headers.get('date') ?? '');
  if (Number.isNaN(date) || Number(headers.get('age') ?? 0) > 0) return undefined;
  return (sentAt + receivedAt) / 2 - (date + 500);
}
