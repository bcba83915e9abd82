import type { Resource } from '../../src/resources/resource.ts';
import { CONTROL_TYPES, LOOK_AGAIN } from '../../src/wire/control-types.ts';
import type { XdsResource } from '../../src/wire/xds-message.ts';
import type { ResourceSource } from '../../src/wire/xds-server-session.ts';
import type { TypeView } from '../../src/wire/xds-server-type.ts';
import { applicableIndex } from './applicable-index.ts';
import {
  authorizationPolicyApplies,
  keyPlacesOf,
  meshSettingsIn,
  nearby,
  peerAuthenticationApplies,
  requestAuthenticationApplies,
  requestAuthenticationsFor,
  sidecarFor,
  type Applies,
  type Audience,
} from './applicable.ts';
import { destinationRuleApplies } from './destination-rules.ts';
import { keySetResource } from './key-set-resource.ts';
import { envelopeOf } from './envelope.ts';
import type { KeySets } from '../key-sets/key-sets.ts';
import type { MeshView } from './mesh-view.ts';
import { indexOf, type TypeIndex } from './type-index.ts';
import type { AdmittedWorkload } from './subscriber.ts';

/** Keys as the CA has read them. */
export type KeySetSource = Pick<KeySets, 'get' | 'lookAgain'>;

/** What all subscribers share, as it is now. */
export interface SharedState {
  readonly view: MeshView;
  readonly rootNamespace: string;
  readonly keySets: KeySetSource;
  /** The trust bundle, as the resource that it is handed out as. */
  readonly bundle: XdsResource;
}

export interface SubscriberSourceOptions {
  readonly shared: () => SharedState;
  readonly workload: () => AdmittedWorkload;
  /** Told of each name that is asked for, or no longer. */
  readonly onAsked: (typeUrl: string, name: string, asked: boolean) => void;
}

/** Kinds of which there may be very many. */
const POLICIES: Readonly<Record<string, { readonly kind: string; readonly applies: Applies }>> = {
  [CONTROL_TYPES.authorizationPolicy]: { kind: 'AuthorizationPolicy', applies: authorizationPolicyApplies },
  [CONTROL_TYPES.peerAuthentication]: { kind: 'PeerAuthentication', applies: peerAuthenticationApplies },
  [CONTROL_TYPES.requestAuthentication]: { kind: 'RequestAuthentication', applies: requestAuthenticationApplies },
};

/** Those of which a workload has one at most. */
const SELECTORS: Readonly<Record<string, (view: MeshView, audience: Audience) => Resource | undefined>> = {
  [CONTROL_TYPES.sidecar]: ({ snapshot }, audience) => sidecarFor(snapshot, audience),
  [CONTROL_TYPES.configMap]: ({ snapshot }, { rootNamespace }) => meshSettingsIn(snapshot, rootNamespace),
};

/**
 * The resources of every type as one subscriber may see them. It holds none: it looks into what all share, with the
 * eyes of its workload.
 */
export class SubscriberSource implements ResourceSource {
  readonly #options: SubscriberSourceOptions;
  /** The moment that it still sees, and as whom, between a change that concerns it and being told. */
  #held: { readonly view: MeshView; readonly workload: AdmittedWorkload } | undefined;

  constructor(options: SubscriberSourceOptions) {
    this.#options = options;
  }

  view(typeUrl: string): TypeView {
    const seen = this.#seen();
    return { ...this.#indexOf(typeUrl, seen), version: seen.version };
  }

  onAsked(typeUrl: string, name: string, asked: boolean): void {
    this.#options.onAsked(typeUrl, name, asked);
  }

  onSubscribed(typeUrl: string, names: readonly string[]): void {
    if (typeUrl !== CONTROL_TYPES.keySet) return;
    for (const name of names) if (name.endsWith(LOOK_AGAIN)) this.#lookAgain(name.slice(0, -LOOK_AGAIN.length));
  }

  /** Whether it still sees an earlier moment of the mesh than others do. */
  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  /** Goes on seeing this moment of the mesh, or an earlier one that it sees already, until it moves. */
  hold(view: MeshView): void {
    this.#held ??= { view, workload: this.#options.workload() };
  }

  /** Sees the mesh as it is now. */
  move(): void {
    this.#held = undefined;
  }

  /** A sidecar may ask about the keys that it is given, and no others. */
  #lookAgain(name: string): void {
    if (this.#keyPlaces(this.#seen(), this.#audience()).has(name)) this.#options.shared().keySets.lookAgain(name);
  }

  #seen(): MeshView {
    return this.#held?.view ?? this.#options.shared().view;
  }

  #keyPlaces({ snapshot }: MeshView, audience: Audience): ReturnType<typeof keyPlacesOf> {
    return keyPlacesOf(requestAuthenticationsFor(snapshot, audience));
  }

  #audience(): Audience {
    const { namespace, labels } = this.#held?.workload ?? this.#options.workload();
    return { namespace, labels, rootNamespace: this.#options.shared().rootNamespace };
  }

  #indexOf(typeUrl: string, view: MeshView): TypeIndex {
    const { bundle, keySets } = this.#options.shared();
    const { snapshot } = view;
    const audience = this.#audience();
    if (typeUrl === CONTROL_TYPES.address) return view.addresses.seenFrom(audience.namespace);
    if (typeUrl === CONTROL_TYPES.secret) return indexOf(() => [bundle]);
    if (typeUrl === CONTROL_TYPES.keySet) {
      return indexOf(() => {
        const names = [...this.#keyPlaces(view, audience).keys()];
        return names.flatMap((name) => keySets.get(name) ?? []).map(keySetResource);
      });
    }
    if (typeUrl === CONTROL_TYPES.destinationRule) {
      const kind = 'DestinationRule';
      const applies = (resource: Resource): boolean => destinationRuleApplies(resource, audience, view.leadsSomewhere);
      return applicableIndex({ snapshot, kind, candidates: () => snapshot.list(kind), applies });
    }
    const policies = Object.hasOwn(POLICIES, typeUrl) ? POLICIES[typeUrl] : undefined;
    if (policies !== undefined) {
      const { kind, applies } = policies;
      const candidates = (): readonly Resource[] => nearby(snapshot, kind, audience);
      const isNear = ({ namespace }: Resource): boolean =>
        namespace === audience.namespace || namespace === audience.rootNamespace;
      return applicableIndex({
        snapshot,
        kind,
        candidates,
        applies: (each) => isNear(each) && applies(each, audience),
      });
    }
    const select = Object.hasOwn(SELECTORS, typeUrl) ? SELECTORS[typeUrl] : undefined;
    return indexOf(() => {
      const selected = select?.(view, audience);
      return selected === undefined ? [] : [envelopeOf(selected)];
    });
  }
}
