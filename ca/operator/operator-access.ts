import type { IncomingMessage } from 'node:http';
import type { Operation, Role } from './operation.ts';

/** Somebody whose name was proven. */
export interface ProvenOperator {
  /** As the ledger records it: `socket:uid=0`, `kubernetes:alice@example.com`, `svid:spiffe://…`. */
  readonly name: string;
  /**
   * Why the operation is not for them; undefined where it is.
   *
   * @throws SealwrightError `authentication_unavailable` where whoever must decide cannot be asked
   */
  refusalOf(operation: Operation): Promise<string | undefined>;
}

/** Finds out who is asking, for each request anew. */
export interface OperatorAccess {
  /** @throws SealwrightError `operator_unauthenticated`, `authentication_unavailable` */
  authenticate(request: IncomingMessage): Promise<ProvenOperator>;
}

/** Who has one role for everything. */
export function operatorOfRole(name: string, role: Role): ProvenOperator {
  return {
    name,
    refusalOf: async (operation) =>
      operation.role === 'operator' && role !== 'operator' ? 'its role is viewer' : undefined,
  };
}

/** For a socket that its owner alone can open. */
export function ownerAccess(name: string): OperatorAccess {
  const owner = operatorOfRole(name, 'operator');
  return { authenticate: async () => owner };
}
