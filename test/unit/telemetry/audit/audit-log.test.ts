import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Secret } from '../../../../src/lib/secret.ts';
import { type AuditSink, createAuditLog } from '../../../../src/telemetry/audit/audit-log.ts';
import { createAuditObserver } from '../../../../src/telemetry/audit/audit-observer.ts';
import { verifyChain } from '../../../../src/telemetry/audit/verify.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';

const key = new Secret('a key');

/** Keeps what it takes; fails as long as `broken`. */
class MemorySink implements AuditSink {
  text = '';
  broken = false;
  async append(lines: string): Promise<void> {
    if (this.broken) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    this.text += lines;
  }
  async lastLine(): Promise<string | undefined> {
    return this.text === '' ? undefined : this.text.trimEnd().split('\n').at(-1);
  }
  async close(): Promise<void> {}
  get records(): Record<string, unknown>[] {
    return this.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
  }
}

function setup(sink = new MemorySink()) {
  const clock = new FakeClock();
  const states: string[] = [];
  const log = createAuditLog({
    sink,
    key: async () => key,
    node: 'pod-1',
    clock,
    onSink: (state, reason) => states.push(`${state} ${reason}`.trim()),
  });
  return { sink, clock, log, states };
}

async function* linesOf(sink: MemorySink) {
  for (const [i, text] of sink.text.trimEnd().split('\n').entries()) yield { file: 'f', line: i + 1, text };
}

describe('an audit log', () => {
  test('writes each event with time, node and chain', async () => {
    const { sink, log } = setup();
    log.record('started', { version: '1' });
    await log.stop();
    const [{ time, node, event, seq, prev }] = sink.records as [Record<string, unknown>];
    assert.deepEqual(
      { time, node, event, seq, prev },
      {
        time: '2026-01-01T00:00:00.000Z',
        node: 'pod-1',
        event: 'started',
        seq: 1,
        prev: '',
      },
    );
  });

  test('goes on with the chain of an earlier run', async () => {
    const first = setup();
    first.log.record('started', {});
    first.log.record('stopped', {});
    await first.log.stop();
    const second = setup(first.sink);
    second.log.record('started', {});
    await second.log.stop();
    const report = await verifyChain(linesOf(first.sink), key, undefined);
    assert.deepEqual([report.records, report.last?.seq, report.faults], [3, 3, []]);
  });

  test('says so when the chain of an earlier run does not open', async () => {
    const sink = new MemorySink();
    sink.text = '{"seq":9,"prev":"","mac":"x"}\n';
    const { log } = setup(sink);
    log.record('started', {});
    await log.stop();
    assert.deepEqual(
      sink.records.slice(1).map(({ event, seq }) => [event, seq]),
      [
        ['chain_restarted', 1],
        ['started', 2],
      ],
    );
  });

  test('is not silenced by a last line that somebody put there to break it', async () => {
    const sink = new MemorySink();
    sink.text = `{"seq":9,"prev":"","mac":"${'é'.repeat(43)}"}\n`;
    const { log, states } = setup(sink);
    log.record('started', {});
    await log.stop();
    assert.deepEqual(states, []);
    assert.equal(sink.records.at(-1)?.['event'], 'started');
  });

  test('leaves no event waiting that comes just as the ones before are written', async () => {
    for (let turns = 0; turns < 12; turns++) {
      const { sink, log } = setup();
      const { append } = sink;
      let isFirst = true;
      sink.append = async (lines) => {
        await append.call(sink, lines);
        if (!isFirst) return;
        isFirst = false;
        void (async () => {
          for (let i = 0; i < turns; i++) await undefined;
          log.record('second', {});
        })();
      };
      log.record('first', {});
      await settle();
      assert.equal(sink.records.length, 2, `after ${turns} turns`);
    }
  });

  test('keeps events while the sink fails, and writes them in order when it works again', async () => {
    const { sink, clock, log, states } = setup();
    sink.broken = true;
    for (let i = 0; i < 5; i++) log.record('injected', { i });
    await settle();
    sink.broken = false;
    await clock.advance(1_000);
    await log.stop();
    assert.deepEqual(
      sink.records.map(({ i }) => i),
      [0, 1, 2, 3, 4],
    );
    assert.deepEqual(states, ['failed ENOSPC', 'recovered']);
    assert.deepEqual((await verifyChain(linesOf(sink), key, log.head())).faults, []);
  });

  test('counts what a failing sink lost, and writes the count when it works again', async () => {
    const { sink, clock, log } = setup();
    sink.broken = true;
    for (let i = 0; i < 10_050; i++) log.record('injected', { i });
    await settle();
    assert.equal(log.lost(), 50);
    sink.broken = false;
    await clock.advance(1_000);
    await log.stop();
    assert.equal(sink.records.find(({ event }) => event === 'records_lost')?.['count'], 50);
    assert.deepEqual((await verifyChain(linesOf(sink), key, log.head())).faults, []);
  });
});

test('incoming refusals stand there with action, path, status and client, a flood of them as a count', async () => {
  const { sink, clock, log } = setup();
  const { observer } = createAuditObserver(log, clock);
  const refuse = () =>
    observer.inboundRefused('api', 'token_signature', 'd1', 'enforce', {
      ...{ method: 'POST', path: `/v1/${'x'.repeat(5_000)}`, status: 401, address: '10.0.0.9' },
    });
  for (let i = 0; i < 1_000; i++) refuse();
  observer.inboundRefused('other', 'scope', 'd2', 'enforce', {
    ...{ method: 'GET', path: '/', status: 403, address: '' },
  });
  await clock.advance(1_000);
  refuse();
  await log.stop();
  const told = sink.records.filter(({ event }) => event === 'inbound_refused');
  assert.equal(told.length, 102);
  assert.equal(told[100]?.['policy'], 'other', 'not hidden by the flood');
  const { policy, reason, decision, mode, method, path, status, address } = told[0]!;
  assert.deepEqual(
    [policy, reason, decision, mode, method, status, address, String(path).length],
    ['api', 'token_signature', 'd1', 'enforce', 'POST', 401, '10.0.0.9', 1_024],
  );
  assert.equal(told.at(-1)?.['omitted'], 900);
});

test('refusals that were left out stand there within a minute, also when none comes after them, and at the end', async () => {
  const { sink, clock, log } = setup();
  const audit = createAuditObserver(log, clock);
  audit.watch([]);
  const flood = () => {
    const request = { method: 'GET', path: '/', status: 403, address: '10.0.0.9' };
    for (let i = 0; i < 1_000; i++) audit.observer.inboundRefused('api', 'scope', 'd', 'enforce', request);
  };
  const omitted = () => sink.records.flatMap(({ policy, omitted }) => (omitted ? [[policy, omitted]] : []));
  flood();
  await clock.advance(60_000);
  assert.deepEqual(omitted(), [['api', 900]]);
  await clock.advance(600_000);
  flood();
  audit.stop();
  await log.stop();
  assert.deepEqual(omitted(), [
    ['api', 900],
    ['api', 900],
  ]);
});

test('nothing of a record is longer than a thousand characters, whoever chose it', async () => {
  const { sink, clock, log } = setup();
  const { observer } = createAuditObserver(log, clock);
  const long = 'X'.repeat(60_000);
  const asked = { method: long, path: long, status: 403 };
  observer.inboundRefused('api', 'scope', 'd', 'enforce', { ...asked, address: '10.0.0.9' });
  observer.outboundDenied('api', 'enforce', { ...asked, host: long });
  observer.secretRejected(long, '1', 'why', false);
  await log.stop();
  assert.equal(sink.records.length, 3);
  for (const line of sink.text.trimEnd().split('\n')) assert.ok(line.length < 4_000, `${line.length}`);
  assert.equal(String(sink.records[0]!['method']).length, 1_024);
});

test('denials stand there with what was asked for, and hide no refusals of an incoming policy of the same name', async () => {
  const { sink, clock, log } = setup();
  const { observer } = createAuditObserver(log, clock);
  const request = { method: 'DELETE', host: 'orders.example.com', path: '/v1/1', status: 403 };
  for (let i = 0; i < 150; i++) observer.outboundDenied('api', 'enforce', request);
  observer.outboundDenied('other', 'shadow', request);
  observer.inboundRefused('api', 'scope', 'd', 'enforce', {
    method: 'GET',
    path: '/',
    status: 403,
    address: '',
  });
  await log.stop();
  const denied = sink.records.filter(({ event }) => event === 'outbound_denied');
  assert.equal(denied.length, 101);
  assert.partialDeepStrictEqual(denied[0]!, { policy: 'api', mode: 'enforce', ...request });
  assert.partialDeepStrictEqual(denied[100]!, { policy: 'other', mode: 'shadow' });
  assert.equal(sink.records.filter(({ event }) => event === 'inbound_refused').length, 1);
});

describe('injections in the audit trail', () => {
  test('are one record per policy and generation a minute, never one a request', async () => {
    const { sink, clock, log } = setup();
    const audit = createAuditObserver(log, clock);
    const injections = { count: 0 };
    audit.watch([{ name: 'orders', source: 'idp', injections }]);
    audit.observer.credentialPublished('idp', 1, Number.POSITIVE_INFINITY, undefined, 'idp');
    injections.count += 300;
    await clock.advance(60_000);
    injections.count += 20;
    audit.observer.credentialPublished('idp', 2, Number.POSITIVE_INFINITY, undefined, 'idp');
    injections.count += 5;
    audit.stop();
    await log.stop();
    const told = sink.records.filter(({ event }) => event === 'injected');
    assert.deepEqual(
      told.map(({ generation, count }) => [generation, count]),
      [
        [1, 300],
        [1, 20],
        [2, 5],
      ],
    );
  });
});

describe('callers that were let in, in the audit trail', () => {
  const accepted = (sink: MemorySink) => sink.records.filter(({ event }) => event === 'inbound_accepted');

  test('are one record per policy and caller a minute, and none where nobody came', async () => {
    const { sink, clock, log } = setup();
    const audit = createAuditObserver(log, clock);
    audit.watch([]);
    const { callerCount } = audit.observer;
    const shop = callerCount('api', 'idp', 'shop');
    shop.count += 300;
    assert.equal(callerCount('api', 'idp', 'shop'), shop);
    callerCount('admin', 'idp', 'shop').count += 1;
    callerCount('api', 'other', 'shop').count += 2;
    callerCount('api', undefined, 'globex').count += 3;
    callerCount('health', undefined, '').count += 4;
    assert.equal(shop.ended, false);
    await clock.advance(60_000);
    assert.equal(shop.ended, true);
    callerCount('api', 'idp', 'shop').count += 5;
    // Another configuration: what was let in by the one before stands before it.
    audit.watch([]);
    callerCount('api', 'idp', 'shop').count += 6;
    await clock.advance(180_000);
    audit.stop();
    await log.stop();
    assert.deepEqual(
      accepted(sink).map(({ policy, issuer, caller, count }) => [policy, issuer, caller, count]),
      [
        ['api', 'idp', 'shop', 300],
        ['api', 'other', 'shop', 2],
        ['api', undefined, 'globex', 3],
        ['admin', 'idp', 'shop', 1],
        ['health', undefined, undefined, 4],
        ['api', 'idp', 'shop', 5],
        ['api', 'idp', 'shop', 6],
      ],
    );
  });

  test('are bounded: a flood of callers of one policy is one record of the others, and hides nobody of another policy', async () => {
    const { sink, clock, log } = setup();
    const audit = createAuditObserver(log, clock);
    const { callerCount } = audit.observer;
    for (let i = 0; i < 50_000; i++) callerCount('api', 'idp', `user-${i}`).count++;
    callerCount('admin', 'idp', 'x'.repeat(16_000)).count++;
    audit.stop();
    await log.stop();
    const told = accepted(sink);
    assert.equal(told.length, 1_002);
    assert.deepEqual(
      told.filter(({ others }) => others).map(({ policy, caller, count }) => [policy, caller, count]),
      [['api', undefined, 49_000]],
    );
    assert.equal((told.at(-1)!['caller'] as string).length, 256);
    assert.equal(log.lost(), 0);
  });

  test('are bounded over all policies, far below what the log keeps while its sink is away', async () => {
    const { sink, clock, log } = setup();
    const audit = createAuditObserver(log, clock);
    for (let policy = 0; policy < 20; policy++) {
      for (let i = 0; i < 1_000; i++) audit.observer.callerCount(`p${policy}`, 'idp', `user-${i}`).count++;
    }
    audit.stop();
    await log.stop();
    const told = accepted(sink);
    assert.equal(told.length, 5_015);
    assert.equal(
      told.reduce((sum, { count }) => sum + Number(count), 0),
      20_000,
    );
    assert.equal(log.lost(), 0);
  });
});
