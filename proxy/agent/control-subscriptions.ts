import { CONTROL_TYPES, ROOT_SECRET } from '../../src/wire/control-types.ts';
import { WILDCARD } from '../../src/wire/xds-message.ts';

/** All that a sidecar asks for but addresses, and by which names. */
export const SUBSCRIPTIONS: readonly (readonly [typeUrl: string, name: string])[] = [
  [CONTROL_TYPES.authorizationPolicy, WILDCARD],
  [CONTROL_TYPES.peerAuthentication, WILDCARD],
  [CONTROL_TYPES.requestAuthentication, WILDCARD],
  [CONTROL_TYPES.keySet, WILDCARD],
  [CONTROL_TYPES.sidecar, WILDCARD],
  [CONTROL_TYPES.destinationRule, WILDCARD],
  [CONTROL_TYPES.configMap, WILDCARD],
  [CONTROL_TYPES.secret, ROOT_SECRET],
];

export const SUBSCRIBED_TYPES: readonly string[] = [
  CONTROL_TYPES.address,
  ...SUBSCRIPTIONS.map(([typeUrl]) => typeUrl),
];
