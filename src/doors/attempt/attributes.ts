// What Envoy is asked to tell of an attempt beside its headers: CEL expressions, which come back as names of fields.
// Seen on 1.36.2, 1.37.0 and 1.40.0. None of them can be forged by the app.

/** Names of the policies that the chosen cluster was made for, from its metadata: the leak guard. */
export const MARK = "xds.cluster_metadata.filter_metadata['bearerd']['policy']";
/** 1 for the first. x-envoy-attempt-count is not needed and not sent to the upstream. */
export const ATTEMPT = 'upstream.request_attempt_count';

/** None of the downstream connection: a mirrored request has none, and asking for it kills Envoy (1.36.2 to 1.40.0). */
export const ATTRIBUTES = [MARK, ATTEMPT];
