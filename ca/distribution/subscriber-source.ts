import type { Resource } from '../../src/resources/resource.ts';
import { CONTROL_TYPES, LOOK_AGAIN } from '../../src/wire/control-types.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import type { ResourceSource } from '../../src/wire/xds-server-session.ts';
import type { TypeView } from '../../src/wire/xds-server-type.ts';
import { ApplicableIndex } from './applicable-index.ts';
import {
  authorizationPolicyApplies,
  keyPlacesOf,
  meshSettingsIn,
  peerAuthenticationApplies,
  requestAuthenticationApplies,
  requestAuthenticationsFor,
  sidecarFor,
  type Applies,
  type Audience,
} from './applicable.ts';
import { destinationRulesFor } from './destination-rules.ts';
import { keySetResource } from './key-set-resource.ts';
import { envelopeOf } from './envelope.ts';
import type { KeySets } from '../key-sets/key-sets.ts';
import type { MeshView } from './mesh-view.ts';
import { ResourceIndex } from './resource-index.ts';
import type { TypeIndex } from './type-index.ts';
import type { AdmittedWorkload } from './subscriber.ts';

/** Keys as the CA has read them. */
export type KeySetSource = Pick<KeySets, 'get' | 'lookAgain'>;

/** What one subscriber may see, at one moment. */
export interface SubscriberState {
  readonly view: MeshView;
  readonly workload: AdmittedWorkload;
  readonly rootNamespace: string;
  readonly keySets: KeySetSource;
  /** The trust bundle, as the resource that it is handed out as. */
  readonly bundle: XdsResource;
}

/** A type of which something changed, and the names of what did. */
export interface ChangedType {
  readonly typeUrl: string;
  readonly names: readonly string[];
}

interface ServedType {
  readonly index: TypeIndex;
  readonly view: TypeView;
}

/** Kinds of which there may be very many. */
const POLICIES: Readonly<Record<string, { readonly kind: string; readonly applies: Applies }>> = {
  [CONTROL_TYPES.authorizationPolicy]: { kind: 'AuthorizationPolicy', applies: authorizationPolicyApplies },
  [CONTROL_TYPES.peerAuthentication]: { kind: 'PeerAuthentication', applies: peerAuthenticationApplies },
  [CONTROL_TYPES.requestAuthentication]: { kind: 'RequestAuthentication', applies: requestAuthenticationApplies },
};

/** Those of which a workload has one at most. */
const SELECTORS: Readonly<Record<string, (state: SubscriberState) => readonly Resource[]>> = {
  [CONTROL_TYPES.sidecar]: (state) => listOf(sidecarFor(state.view.snapshot, audienceOf(state))),
  [CONTROL_TYPES.destinationRule]: (state) =>
    destinationRulesFor(state.view.snapshot, audienceOf(state), state.view.leadsSomewhere),
  [CONTROL_TYPES.configMap]: ({ view, rootNamespace }) => listOf(meshSettingsIn(view.snapshot, rootNamespace)),
};

/** The resources of every type as one subscriber may see them; moves on as the mesh does. */
export class SubscriberSource implements ResourceSource {
  #state: SubscriberState;
  /** Made when a type is first asked for: most subscribers never ask for some. */
  #types = new Map<string, ServedType>();

  constructor(state: SubscriberState) {
    this.#state = state;
  }

  view(typeUrl: string): TypeView {
    return this.#typeOf(typeUrl).view;
  }

  onSubscribed(typeUrl: string, names: readonly string[]): void {
    if (typeUrl !== CONTROL_TYPES.keySet) return;
    for (const name of names) if (name.endsWith(LOOK_AGAIN)) this.#lookAgain(name.slice(0, -LOOK_AGAIN.length));
  }

  /** Shows another state from now on, and answers what became different in the types that were ever asked for. */
  move(state: SubscriberState): readonly ChangedType[] {
    const before = this.#types;
    this.#state = state;
    this.#types = new Map();
    const changed: ChangedType[] = [];
    for (const [typeUrl, { index }] of before) {
      const names = this.#typeOf(typeUrl).index.changesSince(index);
      if (names.length > 0) changed.push({ typeUrl, names });
    }
    return changed;
  }

  /** A sidecar may ask about the keys that it is given, and no others. */
  #lookAgain(name: string): void {
    const { keySets } = this.#state;
    if (this.#keyPlaces().has(name)) keySets.lookAgain(name);
  }

  #keyPlaces(): ReturnType<typeof keyPlacesOf> {
    return keyPlacesOf(requestAuthenticationsFor(this.#state.view.snapshot, audienceOf(this.#state)));
  }

  #typeOf(typeUrl: string): ServedType {
    const known = this.#types.get(typeUrl);
    if (known !== undefined) return known;
    const index = this.#makeIndex(typeUrl);
    const { version } = this.#state.view;
    const view: TypeView = { version, find: (name) => index.find(name), names: () => index.names() };
    const type: ServedType = { index, view };
    this.#types.set(typeUrl, type);
    return type;
  }

  #makeIndex(typeUrl: string): TypeIndex {
    const { view, workload, bundle } = this.#state;
    if (typeUrl === CONTROL_TYPES.address) return view.addressesFor(workload.namespace);
    if (typeUrl === CONTROL_TYPES.keySet) {
      const { keySets } = this.#state;
      const held = [...this.#keyPlaces().keys()].flatMap((name) => keySets.get(name) ?? []);
      return new ResourceIndex(held.map(keySetResource));
    }
    if (typeUrl === CONTROL_TYPES.secret) return new ResourceIndex([bundle]);
    const policies = Object.hasOwn(POLICIES, typeUrl) ? POLICIES[typeUrl] : undefined;
    if (policies !== undefined) {
      const { snapshot, changes } = view;
      return new ApplicableIndex({ ...policies, snapshot, changes, audience: audienceOf(this.#state) });
    }
    const select = Object.hasOwn(SELECTORS, typeUrl) ? SELECTORS[typeUrl] : undefined;
    return new ResourceIndex((select?.(this.#state) ?? []).map(envelopeOf));
  }
}

function audienceOf({ workload, rootNamespace }: SubscriberState): Audience {
  return { namespace: workload.namespace, labels: workload.labels, rootNamespace };
}

function listOf<T>(value: T | undefined): readonly T[] {
  return value === undefined ? [] : [value];
}
