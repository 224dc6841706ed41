import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  encodeGrpcMessage,
  frameMessage,
  isGrpcContentType,
  parseGrpcTimeoutMs,
} from '../../../src/server/grpc-wire.ts';

test('grpc-timeout is read in every unit, and anything else is malformed', () => {
  for (const [text, ms] of [
    ['2H', 7_200_000],
    ['3M', 180_000],
    ['1S', 1_000],
    ['200m', 200],
    ['500u', 0.5],
    ['99999999n', 99.999999],
    ['0m', 0],
  ] as const) {
    assert.ok(Math.abs(parseGrpcTimeoutMs(text)! - ms) < 1e-9, text);
  }
  for (const text of ['', '1', 'm', '123456789m', '-1m', '1 m', '1m ', '1x', '1.5S', 'x1m']) {
    assert.equal(parseGrpcTimeoutMs(text), undefined, JSON.stringify(text));
  }
});

test('a frame is a zero flag, the length in four bytes and the message', () => {
  assert.deepEqual([...frameMessage(new Uint8Array())], [0, 0, 0, 0, 0]);
  const frame = frameMessage(new Uint8Array(300).fill(7));
  assert.deepEqual([...frame.subarray(0, 6)], [0, 0, 0, 1, 44, 7]);
  assert.equal(frame.length, 305);
});

test('grpc-message keeps printable ASCII and encodes the rest', () => {
  assert.equal(encodeGrpcMessage('plain, text~'), 'plain, text~');
  assert.equal(encodeGrpcMessage('100%\nä'), '100%25%0A%C3%A4');
});

test('only application/grpc, with or without a format, is gRPC', () => {
  assert.ok(isGrpcContentType('application/grpc'));
  assert.ok(isGrpcContentType('application/grpc+proto'));
  assert.ok(isGrpcContentType('application/grpc;charset=utf-8'));
  for (const other of [undefined, '', 'application/json', 'application/grpc-web', 'application/grpcx']) {
    assert.ok(!isGrpcContentType(other), String(other));
  }
});
