import { FIELD } from '../../http1/field-names.ts';
import type { FieldToAdd } from '../field-edits.ts';
import type { ConnectionFacts } from '../../inbound/connection-facts.ts';
import { xfccLine } from '../../inbound/xfcc.ts';
import type { AskedRequest } from '../steps.ts';

/** By this a provider is told whether the body that it got is cut; a client must not say it. */
export const PARTIAL_BODY = 'x-envoy-auth-partial-body';

const XFCC = 'x-forwarded-client-cert';
const xfccValues = new WeakMap<ConnectionFacts, string>();

/**
 * The fields of a request as a provider may see them: what the application would receive, with our own
 * `x-forwarded-client-cert`. Names in lower case, repeated ones one after the other. Without `host`, which is told apart,
 * and without what ends at this hop.
 */
export function fieldsOf({ head, connection }: AskedRequest): FieldToAdd[] {
  const fields: FieldToAdd[] = [];
  for (let field = 0; field < head.count; field += 1) {
    if (head.dropped[field] === 1 || head.kinds[field] === FIELD.host) continue;
    const name = head.name(field).toLowerCase();
    if (name !== PARTIAL_BODY) fields.push([name, head.value(field)]);
  }
  const xfcc = xfccOf(connection);
  if (xfcc !== '') fields.push([XFCC, xfcc]);
  return fields;
}

function xfccOf(connection: ConnectionFacts): string {
  let value = xfccValues.get(connection);
  if (value === undefined) {
    const { self, peer, peerCertificate: certificate } = connection;
    const authenticated = self !== undefined && peer !== undefined && certificate !== undefined;
    const line = authenticated ? xfccLine({ by: self, certificate, peer }).toString('latin1') : '';
    value = line.slice(XFCC.length + 2, -2);
    xfccValues.set(connection, value);
  }
  return value;
}
