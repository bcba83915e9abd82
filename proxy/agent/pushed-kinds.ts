import { SealwrightError } from '../../src/core/errors.ts';
import { CONTROL_TYPES, ROOT_SECRET } from '../../src/wire/control-types.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import { rememberChange } from './compile-sidecar-policies.ts';
import type { ConfigParts } from './create-config.ts';
import {
  readAuthorizationPolicy,
  readDestinationRule,
  readKeySet,
  readMesh,
  readPeerAuthentication,
  readRequestAuthentication,
  readSidecar,
  readTrustBundle,
} from './read-resource.ts';
import type { WholePush } from './read-push.ts';

/** How what is pushed of one type is read, and which part of a configuration comes of it. */
export interface PushedKind<T> {
  /** @throws SealwrightError what is wrong with it */
  read(resource: XdsResource): T;
  /** The part that a whole push makes other than it was. @throws SealwrightError `sidecar_config_unusable` */
  change(parts: Partial<ConfigParts>, push: WholePush<T>): Partial<ConfigParts>;
}

/** Everything that is pushed but addresses, which are more than a part of a configuration. */
const KINDS: Readonly<Record<string, PushedKind<unknown>>> = {
  [CONTROL_TYPES.authorizationPolicy]: kind(readAuthorizationPolicy, ({ authorizationPolicies: before }, push) => {
    const after = merged(before, push);
    if (before !== undefined && after !== before) {
      rememberChange(before, after, [...push.removed, ...push.changed.keys()]);
    }
    return { authorizationPolicies: after };
  }),
  [CONTROL_TYPES.peerAuthentication]: kind(readPeerAuthentication, ({ peerAuthentications }, push) => {
    return { peerAuthentications: merged(peerAuthentications, push) };
  }),
  [CONTROL_TYPES.requestAuthentication]: kind(readRequestAuthentication, ({ requestAuthentications }, push) => {
    return { requestAuthentications: merged(requestAuthentications, push) };
  }),
  [CONTROL_TYPES.keySet]: kind(readKeySet, ({ keySets: before }, push) => {
    // What is held of a name stays the same object where its keys do, and so do tokens verified by them.
    const same = (name: string, text: string) => {
      const held = before?.get(name);
      return held?.text === text ? held : undefined;
    };
    return { keySets: merged(before, push, (name, value) => same(name, value.text) ?? value) };
  }),
  [CONTROL_TYPES.sidecar]: kind(readSidecar, ({ sidecars }, push) => {
    return { sidecars: single(merged(sidecars, push), 'Sidecar') };
  }),
  [CONTROL_TYPES.destinationRule]: kind(readDestinationRule, ({ destinationRules }, push) => {
    return { destinationRules: merged(destinationRules, push) };
  }),
  [CONTROL_TYPES.configMap]: kind(readMesh, ({ meshes }, push) => {
    return { meshes: single(merged(meshes, push), 'ConfigMap') };
  }),
  [CONTROL_TYPES.secret]: kind(
    (resource) => (resource.name === ROOT_SECRET ? readTrustBundle(resource) : undefined),
    (parts, { changed, removed }) => {
      if (removed.has(ROOT_SECRET)) {
        throw new SealwrightError('sidecar_config_unusable', {
          resource: ROOT_SECRET,
          reason: 'there is no trust bundle',
        });
      }
      const rootsPem = changed.get(ROOT_SECRET)?.value;
      return rootsPem === undefined || rootsPem === parts.rootsPem ? {} : { rootsPem };
    },
  ),
};

/** @throws SealwrightError `sidecar_config_unusable` for a type that was not asked for */
export function pushedKindOf(typeUrl: string): PushedKind<unknown> {
  const found = Object.hasOwn(KINDS, typeUrl) ? KINDS[typeUrl] : undefined;
  if (found !== undefined) return found;
  throw new SealwrightError('sidecar_config_unusable', { reason: `a type that was not asked for: ${typeUrl}` });
}

function kind<T>(read: PushedKind<T>['read'], change: PushedKind<T>['change']): PushedKind<T> {
  return { read, change };
}

/** Another map where something changed, else the same; an empty one the first time, since then it is known to be empty. */
function merged<T>(
  before: ReadonlyMap<string, T> | undefined,
  { changed, removed }: WholePush<T>,
  chosen: (name: string, value: T) => T = (_, value) => value,
): ReadonlyMap<string, T> {
  const concerned = changed.size > 0 || [...removed].some((name) => before?.has(name) === true);
  if (before !== undefined && !concerned) return before;
  const after = new Map(before);
  for (const name of removed) after.delete(name);
  for (const [name, { value }] of changed) after.set(name, chosen(name, value));
  return after;
}

function single<T>(map: ReadonlyMap<string, T>, name: string): ReadonlyMap<string, T> {
  if (map.size <= 1) return map;
  const names = [...map.keys()].join(', ').slice(0, 500);
  throw new SealwrightError('sidecar_config_unusable', { reason: `more than one ${name} for one workload: ${names}` });
}
