import type { WorkloadSelector } from '../../src/policy/workload-selector.ts';
import type { Resource } from '../../src/resources/resource.ts';
import { CONTROL_TYPES } from '../../src/wire/control-types.ts';
import { peerAuthenticationOf, requestAuthenticationOf, scopeOf } from '../distribution/applicable.ts';
import type { ConnectedSidecar, Unsettled } from '../distribution/connected-sidecar.ts';
import { LabelIndex } from '../distribution/label-index.ts';

/** How far a policy has come. */
export interface Reach {
  /** Workloads whose sidecars it is for. */
  readonly selected: number;
  /** Of their sidecars, those on the control stream. */
  readonly connected: number;
  /** Of these, those that go by the policy as it is now. */
  readonly acknowledged: number;
  /** Whether it is for objects that no sidecar stands for. */
  readonly attached: boolean;
}

interface Policy {
  readonly namespace: string;
  readonly selector: WorkloadSelector;
  readonly targets?: readonly unknown[];
}

const POLICIES: Readonly<
  Record<string, { readonly typeUrl: string; readonly read: (resource: Resource) => Policy | undefined }>
> = {
  AuthorizationPolicy: { typeUrl: CONTROL_TYPES.authorizationPolicy, read: scopeOf },
  PeerAuthentication: { typeUrl: CONTROL_TYPES.peerAuthentication, read: peerAuthenticationOf },
  RequestAuthentication: { typeUrl: CONTROL_TYPES.requestAuthentication, read: requestAuthenticationOf },
};

/** Whether a kind is handed out to those whom its labels select. */
export function isForWorkloads(kind: string): boolean {
  return Object.hasOwn(POLICIES, kind);
}

/** Counts for whom policies are, and who has them, at one moment. */
export class PolicyReach {
  readonly #rootNamespace: string;
  readonly #sidecars = new LabelIndex<ConnectedSidecar>();
  readonly #unsettled = new Map<string, Map<ConnectedSidecar, Unsettled | undefined>>();

  constructor({ sidecars, rootNamespace }: { sidecars: Iterable<ConnectedSidecar>; rootNamespace: string }) {
    this.#rootNamespace = rootNamespace;
    for (const sidecar of sidecars) this.#sidecars.set(sidecar, sidecar);
  }

  /** @param countSelected the workloads that a policy selects; undefined of a kind that is for none */
  of(resource: Resource, countSelected: (policy: Policy) => number): Reach | undefined {
    const kind = POLICIES[resource.kind];
    const policy = kind?.read(resource);
    if (kind === undefined || policy === undefined) return undefined;
    const attached = policy.targets !== undefined && policy.targets.length > 0;
    // One with a selector in the root namespace counts nowhere.
    const inRoot = policy.namespace === this.#rootNamespace;
    const ignored = resource.kind === 'PeerAuthentication' && inRoot && policy.selector.size > 0;
    if (attached || ignored) return { selected: 0, connected: 0, acknowledged: 0, attached };
    const theirs = [...this.#sidecars.selected(policy.selector, inRoot ? undefined : policy.namespace)];
    const name = `${resource.namespace}/${resource.name}`;
    let acknowledged = 0;
    for (const sidecar of theirs) if (this.#unsettledOf(sidecar, kind.typeUrl)?.has(name) === false) acknowledged += 1;
    return { selected: countSelected(policy), connected: theirs.length, acknowledged, attached };
  }

  #unsettledOf(sidecar: ConnectedSidecar, typeUrl: string): Unsettled | undefined {
    let ofType = this.#unsettled.get(typeUrl);
    if (ofType === undefined) this.#unsettled.set(typeUrl, (ofType = new Map()));
    if (!ofType.has(sidecar)) ofType.set(sidecar, sidecar.unsettled(typeUrl));
    return ofType.get(sidecar);
  }
}
