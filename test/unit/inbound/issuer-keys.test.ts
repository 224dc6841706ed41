// The span of a key set that is read: of the request that asked for an unknown key, or of nobody's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createIssuerKeys } from '../../../src/inbound/issuer-keys.ts';
import { currentSpan, type Span, within } from '../../../src/lib/trace.ts';
import { nullObserver } from '../../../src/telemetry/observer.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { createTestKey, jwkSet } from '../../support/token-issuer.ts';

test('a key set is read in the trace of the request that asked for it, in the background in its own', async () => {
  const told: string[] = [];
  const spanOf = (path: string): Span => {
    let ended = false;
    return {
      headers: {},
      get ended() {
        return ended;
      },
      child: (name) => spanOf(`${path} > ${name}`),
      end(error) {
        ended = true;
        told.push(`${path} ${error ?? 'ok'}`);
      },
    };
  };
  const clock = new FakeClock();
  let isAway = false;
  const keys = createIssuerKeys({
    issuer: 'idp',
    async load() {
      assert.ok(currentSpan() !== undefined, 'calls belong to it');
      if (isAway) throw new Error('away');
      return JSON.parse(jwkSet(createTestKey('one', 'EdDSA')));
    },
    ...{ clock, observer: nullObserver, random: () => 0.5 },
    tracer: { start: (name) => spanOf(name) },
  });
  keys.start();
  await settle();
  await clock.advance(31_000);
  isAway = true;
  told.length = 0;
  const request = spanOf('request');
  await within(request, () => keys.askAgain('new'));
  request.end();
  assert.deepEqual(told, ['request > bearerd.keys keys_unavailable', 'request ok']);
  await clock.advance(120_000);
  assert.ok(told.length > 2);
  for (const one of told.slice(2))
    assert.equal(one, 'bearerd.keys keys_unavailable', 'the request has ended');
  keys.stop();
});
