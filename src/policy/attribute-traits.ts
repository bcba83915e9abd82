import type { ConditionAttribute } from './authorization-policy.ts';

export type Protocol = 'http' | 'tcp';

/** What HTTP alone can tell (Istio: "HTTP only"). On a TCP listener it is not there to be compared. */
export function isHttpOnly({ name }: ConditionAttribute): boolean {
  return name.startsWith('request.');
}

/**
 * Metadata that an Envoy filter set. There is no Envoy filter here, so nobody can know whether the condition holds:
 * it is treated as an HTTP attribute on TCP is. An ALLOW rule never matches, any other action ignores the condition.
 */
export function isUnknowable({ name }: ConditionAttribute): boolean {
  return name === 'experimental.envoy.filters';
}

/** Whether such a listener cannot tell it. */
export function isUntold(attribute: ConditionAttribute, protocol: Protocol): boolean {
  return isUnknowable(attribute) || (protocol === 'tcp' && isHttpOnly(attribute));
}
