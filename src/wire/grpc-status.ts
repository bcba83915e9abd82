import { status } from '@grpc/grpc-js';
import type { GrpcStatusName } from '../core/errors.ts';

/** gRPC's status numbers by the names that the table of errors uses. */
export const GRPC_STATUS: Readonly<Record<GrpcStatusName, number>> = {
  INVALID_ARGUMENT: status.INVALID_ARGUMENT,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  NOT_FOUND: status.NOT_FOUND,
  ALREADY_EXISTS: status.ALREADY_EXISTS,
  PERMISSION_DENIED: status.PERMISSION_DENIED,
  RESOURCE_EXHAUSTED: status.RESOURCE_EXHAUSTED,
  FAILED_PRECONDITION: status.FAILED_PRECONDITION,
  UNIMPLEMENTED: status.UNIMPLEMENTED,
  INTERNAL: status.INTERNAL,
  UNAVAILABLE: status.UNAVAILABLE,
  UNAUTHENTICATED: status.UNAUTHENTICATED,
};

/** The name of a status number, also of those that we never send. */
export function grpcStatusName(code: number): string {
  return status[code] ?? `STATUS_${code}`;
}

/**
 * The trailer that carries our own error code beside the gRPC status, so that a client need not parse the sentence.
 * Clients that do not know it ignore it.
 */
export const REASON_TRAILER = 'sealwright-reason';

/** The trailer with the name that a refused call has in the server's log: `call` of the error's fields. */
export const CALL_TRAILER = 'sealwright-call';
