// Who is told of what happens: log, metrics, the status page and the audit trail, behind one observer.
import type { Config } from '../config/config.ts';
import type { Clock } from '../lib/clock.ts';
import { type Audit, createAudit } from '../telemetry/audit/audit.ts';
import { createLogObserver } from '../telemetry/log-observer.ts';
import { createLogger, type LogSink } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics-observer.ts';
import type { Observer } from '../telemetry/observer.ts';
import { createStatusRecorder, type StatusRecorder } from '../telemetry/status/status-recorder.ts';
import { createTeeObserver } from '../telemetry/tee-observer.ts';

export interface Telemetry {
  readonly observer: Observer;
  readonly logger: ReturnType<typeof createLogger>;
  readonly recorder: StatusRecorder;
  readonly audit: Audit | undefined;
}

interface TelemetryDeps {
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: LogSink;
  readonly metrics: Metrics;
}

export async function createTelemetry(
  { log, audit: settings }: Config,
  { clock, env, log: out, metrics }: TelemetryDeps,
): Promise<Telemetry> {
  const recorder = createStatusRecorder(clock);
  const counted = createTeeObserver(recorder.observer, metrics.observer);
  const logger = createLogger(log, out);
  const audit =
    settings && (await createAudit(settings, { clock, env, log: logger, out, observer: counted }));
  const logged = createLogObserver(logger, clock);
  const observer = createTeeObserver(audit ? createTeeObserver(audit.observer, logged) : logged, counted);
  return { observer, logger, recorder, audit };
}
