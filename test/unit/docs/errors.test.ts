// docs/errors.md has every machine-readable reason with its answer, and none that is not there.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { type DenialReason, denialOf } from '../../../src/doors/denial.ts';
import { buildRefusal } from '../../../src/doors/inbound/answer.ts';
import type { RefusalReason } from '../../../src/inbound/refusal.ts';

const page = readFileSync('docs/errors.md', 'utf8');

/** Members of a closed union of texts, as its file has them. */
function union(file: string, name: string): readonly string[] {
  const text = readFileSync(file, 'utf8');
  const body = new RegExp(`type ${name} =([^;]*);`).exec(text.replace(/\/\/.*$/gm, ''))![1]!;
  return [...body.matchAll(/'(\w+)'/g)].map(([, member]) => member!);
}

function rowsOf(heading: string): ReadonlyMap<string, string> {
  const section = page.split(`## ${heading}\n`)[1]!.split('\n## ')[0]!;
  return new Map(
    [...section.matchAll(/^\| `(\w+)` \| ([^|]*) \|/gm)].map(([, reason, answer]) => [reason!, answer!]),
  );
}

test('every reason of an outgoing request is there, with the status that the app sees', () => {
  const rows = rowsOf('Outgoing requests');
  const codes = union('src/lib/errors.ts', 'CredentialErrorCode');
  const reasons = [...union('src/telemetry/event-details.ts', 'CheckReason'), ...codes];
  assert.ok(codes.length > 10 && reasons.length > codes.length + 5);
  for (const reason of reasons) assert.ok(page.includes(`\`${reason}\``), `no ${reason}`);
  for (const [reason, answer] of rows) {
    assert.ok(reasons.includes(reason), `${reason} is none`);
    assert.equal(String(denialOf(reason as DenialReason, 0).http), answer, reason);
  }
  for (const code of codes) assert.ok(rows.has(code), `no row ${code}`);
});

/** CheckResponse.denied_response.status.code of an inbound refusal. */
function inboundStatus(reason: string): number {
  const bytes = buildRefusal({
    ...{ reason: reason as RefusalReason, decision: 'd', realm: 'r', scheme: 'Bearer' },
    ...{ parameters: '', retryAfterMs: 0, headers: [] },
  });
  const reader = new BinaryReader(bytes);
  for (;;) {
    const [field, wire] = reader.tag();
    if (field !== 2) reader.skip(wire);
    else {
      reader.uint32();
      reader.tag();
      reader.uint32();
      reader.tag();
      return reader.int32();
    }
  }
}

test('every reason of an incoming request is there with its status, and every reason not to call a provider', () => {
  const lists = [
    ['Incoming requests', union('src/inbound/refusal.ts', 'RefusalReason')],
    ['Calls that were not sent to a provider', union('src/telemetry/event-details.ts', 'EndpointRefusal')],
  ] as const;
  for (const [heading, reasons] of lists) {
    assert.deepEqual([...rowsOf(heading).keys()].sort(), [...reasons].sort(), heading);
  }
  for (const [reason, answer] of rowsOf('Incoming requests')) {
    assert.equal(String(inboundStatus(reason)), answer, reason);
  }
});
