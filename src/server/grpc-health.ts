// grpc.health.v1.Health/Check, with its two one-field messages written by hand.
// Follows the gRPC health checking protocol; Watch is left out (UNIMPLEMENTED tells the caller to use Check).
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { GrpcError, GrpcStatus, type UnaryHandler } from './front.ts';

export const HEALTH_CHECK_PATH = '/grpc.health.v1.Health/Check';

// "" is the whole server.
const SERVICES = new Set(['', 'envoy.service.auth.v3.Authorization']);

// HealthCheckResponse { ServingStatus status = 1 }
const SERVING = Uint8Array.of(0x08, 1);
const NOT_SERVING = Uint8Array.of(0x08, 2);

/** Answers SERVING while `isServing()`; an unknown service is NOT_FOUND. */
export function createGrpcHealth(isServing: () => boolean): UnaryHandler {
  return (message) => {
    if (!SERVICES.has(readService(message))) throw new GrpcError(GrpcStatus.NOT_FOUND, 'unknown service');
    return isServing() ? SERVING : NOT_SERVING;
  };
}

/** HealthCheckRequest { string service = 1 } */
function readService(message: Uint8Array): string {
  let service = '';
  try {
    const reader = new BinaryReader(message);
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field === 1 && type === 2) service = reader.string();
      else reader.skip(type, field);
    }
  } catch {
    throw new GrpcError(GrpcStatus.INVALID_ARGUMENT, 'malformed HealthCheckRequest');
  }
  return service;
}
