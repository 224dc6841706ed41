// Faults of the Workload API as CredentialError. Its details are not quoted: they are another program's text.
import { type ServiceError, status } from '@grpc/grpc-js';
import { CredentialError } from '../lib/errors.ts';

export function toWorkloadApiError(error: ServiceError): CredentialError {
  const name = status[error.code] ?? 'an unknown status';
  switch (error.code) {
    case status.PERMISSION_DENIED:
      // A registration may be on its way: the specification asks clients to try again.
      return new CredentialError(
        'source_rejected',
        'the Workload API has no such identity for this workload (PERMISSION_DENIED)',
        { retryable: true, cause: error },
      );
    case status.INVALID_ARGUMENT:
      return new CredentialError('source_rejected', `the Workload API answered ${name}`, {
        retryable: false,
        cause: error,
      });
    case status.DEADLINE_EXCEEDED:
    case status.CANCELLED:
      return new CredentialError('source_timeout', 'no answer of the Workload API in time', {
        retryable: true,
        cause: error,
      });
    default:
      return new CredentialError('source_unavailable', `the Workload API answered ${name}`, {
        retryable: true,
        cause: error,
      });
  }
}
