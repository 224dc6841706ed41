// Messages of log lines that one event has several of.
import type { GuardAlarm, KeyNotice } from './event-details.ts';

/** What to change, where it is on the other side. */
export const FAULT_TEXTS: Readonly<Record<string, string>> = {
  tls_version:
    'a peer offered no TLS 1.3: Envoy needs tls_maximum_protocol_version: TLSv1_3 in the cluster of bearerd',
  tls_handshake: 'a peer came without a client certificate of client_ca, or without TLS',
  client_not_allowed: 'a client certificate has no URI name that allowed_uris lists',
};

export const REFUSAL_TEXTS = {
  refresh_cap: 'the cap of renewals an hour is reached (limits.refreshes_per_hour)',
  queue_full: 'more calls wait for this provider than may: the last in line are refused',
};

export const GUARD_TEXTS: Readonly<Record<GuardAlarm, string>> = {
  stepped_back:
    'too many requests of a policy are refused or find no credential: its last good version injects in its place',
  withdrawn:
    'too many requests of a policy are refused or find no credential: it is in force for none of them, as before the share',
  nothing_to_step_back_to:
    'too many requests of a policy are refused or find no credential, and no version of it was good before: it stays in force',
};

export const HINDRANCE_TEXTS = {
  envoy_admin: 'the statistics of Envoy cannot be read: the guard does not see the push door (envoy_admin)',
  totals: 'the guard of a policy sees none of its requests: it cannot step back',
  state_dir: 'the state of the guard cannot be kept: it does not outlive a restart (state_dir)',
};

export const NOTICE_TEXTS: Readonly<Record<KeyNotice, string>> = {
  expires_within_7_days: 'an API key ends within 7 days: activate its successor',
  expires_within_24_hours: 'an API key ends within 24 hours: activate its successor now',
  expired: 'an API key that is switched on has ended: suspend or revoke it',
  older_than_90_days: 'an API key is older than 90 days: renew it',
};
