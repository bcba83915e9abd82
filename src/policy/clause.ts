import type { AddressTest, ConnectionTest, RequestTest } from './attribute-test.ts';
import { isUntold } from './attribute-traits.ts';
import type { Condition } from './authorization-policy.ts';
import type { PolicyContext } from './policy-context.ts';
import type { ConnectionFacts, RequestFacts } from './facts.ts';

/** Conditions that must all hold, as tests, by when they can be known; nothing where there are none. */
export interface Clause {
  readonly connection: ConnectionTest | undefined;
  readonly remoteAddress: AddressTest | undefined;
  readonly request: RequestTest | undefined;
}

/** Lists that must all hold: one source, one operation, all of `when`. What the listener cannot tell is left out. */
export function compileClause(lists: readonly (readonly Condition[])[], policy: PolicyContext): Clause {
  let connection: ConnectionTest | undefined;
  let remoteAddress: AddressTest | undefined;
  let request: RequestTest | undefined;
  for (let list = 0; list < lists.length; list += 1) {
    const conditions = lists[list] ?? [];
    for (let index = 0; index < conditions.length; index += 1) {
      const condition = conditions[index];
      if (condition === undefined || isUntold(condition.attribute, policy.scope.protocol)) continue;
      const compiled = policy.compile(condition);
      if (compiled.phase === 'connection') connection = both(connection, compiled.test);
      else if (compiled.phase === 'request') request = both(request, compiled.test);
      else remoteAddress = both(remoteAddress, compiled.test);
    }
  }
  return { connection, remoteAddress, request };
}

/** Allocates nothing. */
export function clauseHolds(clause: Clause, connection: ConnectionFacts, request: RequestFacts): boolean {
  const { connection: ofConnection, remoteAddress, request: ofRequest } = clause;
  if (ofConnection !== undefined && !ofConnection(connection)) return false;
  if (remoteAddress !== undefined) {
    const { remoteIp, sourceIp } = connection;
    if (!remoteAddress(remoteIp === 'per-request' ? (request.remoteIp ?? sourceIp) : remoteIp)) return false;
  }
  return ofRequest === undefined || ofRequest(request);
}

/** What is left of it on one connection: decided already, or a test of each request. */
export function bindClause(clause: Clause, facts: ConnectionFacts): boolean | RequestTest {
  const { connection, remoteAddress, request } = clause;
  if (connection !== undefined && !connection(facts)) return false;
  if (remoteAddress === undefined) return request ?? true;
  const { remoteIp, sourceIp } = facts;
  if (remoteIp !== 'per-request') return remoteAddress(remoteIp) ? (request ?? true) : false;
  const addressTest: RequestTest = (asked) => remoteAddress(asked.remoteIp ?? sourceIp);
  return request === undefined ? addressTest : (asked) => addressTest(asked) && request(asked);
}

type Test<Facts> = (facts: Facts) => boolean;

function both<Facts>(first: Test<Facts> | undefined, second: Test<Facts>): Test<Facts> {
  return first === undefined ? second : (facts) => first(facts) && second(facts);
}
