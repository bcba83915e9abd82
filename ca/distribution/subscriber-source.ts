import type { Resource } from '../../src/resources/resource.ts';
import { CONTROL_TYPES, LOOK_AGAIN } from '../../src/wire/control-types.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import type { ResourceSource } from '../../src/wire/xds-server-session.ts';
import {
  authorizationPoliciesFor,
  keyPlacesOf,
  meshSettingsIn,
  peerAuthenticationsFor,
  requestAuthenticationsFor,
  sidecarFor,
  type Audience,
} from './applicable.ts';
import { destinationRulesFor } from './destination-rules.ts';
import { keySetResource } from './key-set-resource.ts';
import { envelopeOf } from './envelope.ts';
import type { KeySets } from '../key-sets/key-sets.ts';
import type { MeshView } from './mesh-view.ts';
import { ResourceIndex } from './resource-index.ts';
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

const SELECTORS: Readonly<Record<string, (state: SubscriberState) => readonly Resource[]>> = {
  [CONTROL_TYPES.authorizationPolicy]: (state) => authorizationPoliciesFor(state.view.snapshot, audienceOf(state)),
  [CONTROL_TYPES.peerAuthentication]: (state) => peerAuthenticationsFor(state.view.snapshot, audienceOf(state)),
  [CONTROL_TYPES.requestAuthentication]: (state) => requestAuthenticationsFor(state.view.snapshot, audienceOf(state)),
  [CONTROL_TYPES.sidecar]: (state) => listOf(sidecarFor(state.view.snapshot, audienceOf(state))),
  [CONTROL_TYPES.destinationRule]: (state) =>
    destinationRulesFor(state.view.snapshot, audienceOf(state), state.view.leadsSomewhere),
  [CONTROL_TYPES.configMap]: ({ view, rootNamespace }) => listOf(meshSettingsIn(view.snapshot, rootNamespace)),
};

/** The resources of every type as one subscriber may see them; moves on as the mesh does. */
export class SubscriberSource implements ResourceSource {
  #state: SubscriberState;
  /** Made when a type is first asked for: most subscribers never ask for some. */
  #indexes = new Map<string, ResourceIndex>();

  constructor(state: SubscriberState) {
    this.#state = state;
  }

  find(typeUrl: string, name: string): readonly XdsResource[] {
    return this.#indexOf(typeUrl).find(name);
  }

  all(typeUrl: string): Iterable<XdsResource> {
    return this.#indexOf(typeUrl).all();
  }

  systemVersion(): string {
    return this.#state.view.version;
  }

  onSubscribed(typeUrl: string, names: readonly string[]): void {
    if (typeUrl !== CONTROL_TYPES.keySet) return;
    for (const name of names) if (name.endsWith(LOOK_AGAIN)) this.#lookAgain(name.slice(0, -LOOK_AGAIN.length));
  }

  /** Shows another state from now on, and answers what became different in the types that were ever asked for. */
  move(state: SubscriberState): readonly ChangedType[] {
    const before = this.#indexes;
    this.#state = state;
    this.#indexes = new Map();
    const changed: ChangedType[] = [];
    for (const [typeUrl, index] of before) {
      const names = this.#indexOf(typeUrl).changesSince(index);
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

  #indexOf(typeUrl: string): ResourceIndex {
    const known = this.#indexes.get(typeUrl);
    if (known !== undefined) return known;
    const index = this.#makeIndex(typeUrl);
    this.#indexes.set(typeUrl, index);
    return index;
  }

  #makeIndex(typeUrl: string): ResourceIndex {
    const { view, workload, bundle } = this.#state;
    if (typeUrl === CONTROL_TYPES.address) return view.addressesFor(workload.namespace);
    if (typeUrl === CONTROL_TYPES.keySet) {
      const { keySets } = this.#state;
      const held = [...this.#keyPlaces().keys()].flatMap((name) => keySets.get(name) ?? []);
      return new ResourceIndex(held.map(keySetResource));
    }
    if (typeUrl === CONTROL_TYPES.secret) return new ResourceIndex([bundle]);
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
