// What the store knows of one source: one credential for everybody (source-renewal.ts), or one for each subject
// (subject-renewal.ts).
import type { CredentialError } from '../lib/errors.ts';
import type { ForcedRefresh } from '../telemetry/event-details.ts';
import type { CarriedSubject, Credential, CredentialListener, SourceStatus, Subject } from './credential.ts';

export interface Renewal {
  peek(subjectKey?: string): Credential | undefined;
  get(timeoutMs: number, signal?: AbortSignal, subject?: Subject): Promise<Credential>;
  after(generation: number, timeoutMs: number, signal?: AbortSignal, subject?: Subject): Promise<Credential>;
  failure(subjectKey?: string): CredentialError | undefined;
  /** Whether readiness need not wait for it any more. */
  readonly hadOne: boolean;
  retryAfterMs(subjectKey?: string): number;
  subscribe(listener: CredentialListener): () => void;
  refused(generation: number, requestKey: string, carriedForMs?: number): ForcedRefresh;
  /** What was refused for good may be renewed again. */
  reconsider(): void;
  subjectOf(valueKey: string): CarriedSubject | undefined;
  status(): SourceStatus;
  start(): void;
  stop(): Promise<void>;
}
