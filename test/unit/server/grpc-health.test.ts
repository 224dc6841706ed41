import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { GrpcError, GrpcStatus, type UnaryCall } from '../../../src/server/front.ts';
import { createGrpcHealth } from '../../../src/server/grpc-health.ts';

const call: UnaryCall = { timeoutMs: undefined, signal: new AbortController().signal };
const request = (service: string) => new BinaryWriter().uint32(10).string(service).finish();
const hasCode = (code: number) => (error: unknown) => error instanceof GrpcError && error.code === code;

test('the whole server and the authorization service are served, and not while it is not ready', () => {
  let serving = true;
  const health = createGrpcHealth(() => serving);
  for (const message of [new Uint8Array(), request(''), request('envoy.service.auth.v3.Authorization')]) {
    serving = true;
    assert.deepEqual(health(message, call), Uint8Array.of(8, 1));
    serving = false;
    assert.deepEqual(health(message, call), Uint8Array.of(8, 2));
  }
});

test('another service is NOT_FOUND', () => {
  const health = createGrpcHealth(() => true);
  assert.throws(() => health(request('other'), call), hasCode(GrpcStatus.NOT_FOUND));
});

test('a broken request is INVALID_ARGUMENT, an unknown field is skipped', () => {
  const health = createGrpcHealth(() => true);
  assert.throws(() => health(Uint8Array.of(0x0a, 0x7f, 1), call), hasCode(GrpcStatus.INVALID_ARGUMENT));
  const extended = new BinaryWriter().uint32(16).uint32(5).uint32(10).string('').finish();
  assert.deepEqual(health(extended, call), Uint8Array.of(8, 1));
});
