// The closed set of ways in which a caller is refused. The same strings are the metric's `reason` and the log field; the
// caller sees only the status, the error of RFC 6750 and a decision id.

export type RefusalReason =
  // 401: no or no usable credential
  | 'no_credential'
  | 'credential_form' // another scheme, several values, not a token
  | 'token_malformed' // parts, base64url, JSON, claims of a wrong type
  | 'token_algorithm' // not on the issuer's list
  | 'token_type' // typ
  | 'token_issuer' // none of the policy's
  | 'token_key' // no key of the issuer fits
  | 'token_signature'
  | 'token_expired'
  | 'token_not_yet_valid' // nbf or iat ahead
  | 'token_audience'
  | 'token_inactive' // introspection says so
  | 'token_revoked'
  | 'token_binding' // no proof, or a wrong one, that the sender may use it
  | 'dpop_proof' // RFC 9449: missing, wrong, or seen before
  | 'api_key' // unknown, not active, outside of its time
  | 'signature' // RFC 9421
  | 'exchange_rejected' // the provider takes this caller's token for no other (RFC 8693)
  | 'step_up' // RFC 9470
  // 403: known, but not allowed
  | 'scope'
  | 'permission'
  | 'claim'
  | 'peer'
  | 'network'
  | 'plaintext'
  | 'unmatched'
  | 'side' // the route says that it is not inbound, or names another policy
  // 400, 429, 503
  | 'ambiguous_path'
  | 'rate_limited'
  | 'attempts_limited'
  | 'keys_unavailable' // of the issuer, or its introspection
  | 'exchange_unavailable' // no exchanged token in time, and not by the caller's fault
  | 'revocation_unknown'; // the list is too old
