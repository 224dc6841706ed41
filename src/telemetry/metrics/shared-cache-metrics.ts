// Metrics of the shared cache: what looks found, what writes did, and whether it serves.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Observer } from '../observer.ts';

type Events = Pick<
  Observer,
  'sharedCacheRead' | 'sharedCacheWritten' | 'sharedCacheFailed' | 'sharedCacheChanged'
>;

export function createSharedCacheMetrics(registers: Registry[]): Events {
  const reads = new Counter({
    name: 'bearerd_shared_cache_reads_total',
    help: 'Looks into the shared cache, by what was found.',
    labelNames: ['source', 'result'],
    registers,
  });
  const writes = new Counter({
    name: 'bearerd_shared_cache_writes_total',
    help: 'Writes to the shared cache, by result.',
    labelNames: ['source', 'result'],
    registers,
  });
  const faults = new Counter({
    name: 'bearerd_shared_cache_faults_total',
    help: 'Calls to the shared cache that gave nothing, by why.',
    labelNames: ['fault'],
    registers,
  });
  const up = new Gauge({
    name: 'bearerd_shared_cache_up',
    help: '1 while the shared cache answers, 0 while it cannot be reached, is left alone, refuses all, or there is none.',
    registers,
  });
  const writable = new Gauge({
    name: 'bearerd_shared_cache_writable',
    help: '1 while the shared cache takes all that is asked, 0 while it is not up or refuses a part, such as what is written.',
    registers,
  });
  return {
    sharedCacheRead: (source, result) => reads.inc({ source, result }),
    sharedCacheWritten: (source, result) => writes.inc({ source, result }),
    sharedCacheFailed: (fault) => faults.inc({ fault }),
    sharedCacheChanged(state) {
      up.set(state === 'down' ? 0 : 1);
      writable.set(state === 'up' ? 1 : 0);
    },
  };
}
