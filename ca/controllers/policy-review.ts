import type { Issue } from '../../src/core/issue.ts';
import type { TrustDomain } from '../../src/identity/trust-domain.ts';
import { doubtsOfAge, doubtsOfPeers, doubtsOfTokens } from '../../src/policy/authentication-doubts.ts';
import { doubtsOf, type DoubtContext, type KnownListener } from '../../src/policy/policy-doubts.ts';
import type { WorkloadSelector } from '../../src/policy/workload-selector.ts';
import { meshOf } from '../../src/resources/mesh.ts';
import { readAuthorizationPolicy } from '../../src/resources/policy-resource.ts';
import type { Resource } from '../../src/resources/resource.ts';
import type { ResourceSnapshot } from '../../src/resources/resource-store.ts';
import { peerAuthenticationOf, requestAuthenticationOf, scopeOf } from '../distribution/applicable.ts';
import { LabelIndex } from '../distribution/label-index.ts';
import type { PlacedWorkload } from '../distribution/placed-workload.ts';
import { isHttp, isSniffed, isUnreadHttp, type PortProtocol } from '../distribution/protocol.ts';
import { listenersOfWorkload } from '../distribution/workload-listeners.ts';

/** Whom a policy is for, as far as labels say. */
export interface Selecting {
  readonly namespace: string;
  readonly selector: WorkloadSelector;
  readonly targets?: readonly unknown[];
}

export interface ReviewOptions {
  readonly snapshot: ResourceSnapshot;
  readonly workloads: Iterable<PlacedWorkload>;
  readonly rootNamespace: string;
  readonly trustDomain: TrustDomain;
}

interface Selected {
  readonly workloads: readonly PlacedWorkload[];
  readonly listeners: readonly KnownListener[];
}

/**
 * What only the other resources show of a policy: whom it can mean, and what its rules become at the ports there are.
 * What one resource shows by itself is said where it is read (`validateResource`). All are warnings. Holds one moment.
 */
export class PolicyReview {
  readonly #options: ReviewOptions;
  readonly #workloads = new LabelIndex<PlacedWorkload>();
  #count = 0;
  readonly #mesh: Pick<DoubtContext, 'trustDomains' | 'providers'>;
  readonly #listeners = new Map<string, readonly KnownListener[]>();
  readonly #selected = new Map<string, Selected>();
  readonly #verifying: ReadonlySet<PlacedWorkload>;

  constructor(options: ReviewOptions) {
    this.#options = options;
    const { snapshot, workloads, rootNamespace, trustDomain } = options;
    for (const placed of workloads) {
      this.#workloads.set(placed, placed.workload);
      this.#count += 1;
    }
    const { trustDomainAliases, extensionProviders } = meshOf(snapshot, rootNamespace);
    const providers = extensionProviders.flatMap(({ kind, name }) => {
      return kind === 'other' ? [] : [{ name, httpOnly: kind === 'ext-authz-http' }];
    });
    this.#mesh = { trustDomains: { trustDomain, aliases: trustDomainAliases }, providers };
    this.#verifying = new Set(
      snapshot.list('RequestAuthentication').flatMap((resource) => {
        const policy = requestAuthenticationOf(resource);
        return policy === undefined || policy.rules.length === 0 ? [] : this.selectedBy(policy);
      }),
    );
  }

  /** The workloads whose sidecars a policy is for. */
  selectedBy(policy: Selecting): readonly PlacedWorkload[] {
    return this.#select(policy).workloads;
  }

  review(resource: Resource): Issue[] {
    if (resource.kind === 'AuthorizationPolicy') {
      const scope = scopeOf(resource);
      if (scope === undefined) return [];
      const { workloads, listeners } = this.#select(scope);
      const tokensVerified = workloads.some((each) => this.#verifying.has(each));
      return [
        ...this.#nobody(scope, workloads),
        ...doubtsOfRules(resource, { ...this.#mesh, listeners, tokensVerified }),
      ];
    }
    if (resource.kind === 'PeerAuthentication') {
      const policy = peerAuthenticationOf(resource);
      // One with a selector in the root namespace is ignored, which is said where it is read.
      if (policy === undefined || this.#isIgnored(policy)) return [];
      const { workloads, listeners } = this.#select(policy);
      const labels = workloads.map(({ workload }) => workload.labels);
      const { snapshot } = this.#options;
      const near = snapshot
        .list('PeerAuthentication', policy.namespace)
        .flatMap((each) => peerAuthenticationOf(each) ?? []);
      return [
        ...this.#nobody(policy, workloads),
        ...doubtsOfAge(policy, labels, near),
        ...doubtsOfPeers(policy, listeners),
      ];
    }
    if (resource.kind !== 'RequestAuthentication') return [];
    const policy = requestAuthenticationOf(resource);
    if (policy === undefined) return [];
    const { workloads, listeners } = this.#select(policy);
    return [...this.#nobody(policy, workloads), ...doubtsOfTokens(policy, listeners)];
  }

  #isIgnored({ namespace, selector }: Selecting): boolean {
    return selector.size > 0 && namespace === this.#options.rootNamespace;
  }

  #nobody({ selector, targets = [] }: Selecting, selected: readonly PlacedWorkload[]): Issue[] {
    const known = this.#count > 0 && selector.size > 0 && targets.length === 0;
    return known && selected.length === 0 ? [SELECTS_NOBODY] : [];
  }

  /** Many policies have one selector, or none. */
  #select({ namespace, selector, targets = [] }: Selecting): Selected {
    if (targets.length > 0) return NOBODY;
    const where = namespace === this.#options.rootNamespace ? undefined : namespace;
    const key = JSON.stringify([where ?? '', ...[...selector].sort(([a], [b]) => (a < b ? -1 : 1))]);
    const known = this.#selected.get(key);
    if (known !== undefined) return known;
    const workloads = [...this.#workloads.selected(selector, where)];
    // The same port of many workloads says the same of a rule.
    const listeners = new Map<string, KnownListener>();
    for (const placed of workloads) {
      for (const listener of this.#listenersOf(placed))
        listeners.set(`${listener.port}/${listener.protocol}`, listener);
    }
    const selected = { workloads, listeners: [...listeners.values()] };
    this.#selected.set(key, selected);
    return selected;
  }

  /** Replicas are alike in all that decides it. */
  #listenersOf(placed: PlacedWorkload): readonly KnownListener[] {
    const { workload, ports } = placed;
    const key = JSON.stringify([workload.namespace, workload.labels, ports]);
    const known = this.#listeners.get(key);
    if (known !== undefined) return known;
    const listeners = listenersOfWorkload(placed, this.#options).map(({ port, protocol }): KnownListener => {
      return { port, protocol: kindOf(protocol) };
    });
    this.#listeners.set(key, listeners);
    return listeners;
  }
}

/** What was said of a policy, and by what. */
const said = new WeakMap<Resource, { readonly by: string; readonly issues: readonly Issue[] }>();

/** Thousands of policies are looked at again and again, and rarely is their mesh another: then they are not even read. */
function doubtsOfRules(resource: Resource, context: DoubtContext): readonly Issue[] {
  const by = JSON.stringify(context);
  const known = said.get(resource);
  if (known?.by === by) return known.issues;
  const { policy } = readAuthorizationPolicy(resource);
  const issues = policy === undefined ? [] : doubtsOf(policy, context);
  said.set(resource, { by, issues });
  return issues;
}

const NOBODY: Selected = Object.freeze({ workloads: [], listeners: [] });

function kindOf(protocol: PortProtocol): KnownListener['protocol'] {
  if (isUnreadHttp(protocol)) return 'http2';
  return isHttp(protocol) ? 'http' : isSniffed(protocol) ? 'auto' : 'tcp';
}

const SELECTS_NOBODY: Issue = Object.freeze({
  severity: 'warning',
  code: 'policy_selects_nobody',
  path: 'spec.selector',
  message: 'selects none of the workloads that are known here, and so does nothing yet',
  remedy: 'compare the labels with those of the workload, and the namespace',
});
