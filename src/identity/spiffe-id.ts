import { SealwrightError } from '../core/errors.ts';
import { isTrustDomain, type TrustDomain } from './trust-domain.ts';

/** SPIFFE-ID 2.3: what must be supported; a longer one is refused. */
const LONGEST = 2048;

/** SPIFFE-ID 2.2: the characters of one path segment. */
const SEGMENT = /^[a-zA-Z0-9._-]+$/;

/** RFC 1123 subdomain: what Kubernetes allows as the name of a namespace or a service account. */
const KUBERNETES_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/**
 * An identity, parsed once at the edge. Compare two with `equals`, never their texts after joining or cutting.
 * A federated identity may have any SPIFFE path; `workload` is set where it is `/ns/<namespace>/sa/<service account>`.
 */
export class SpiffeId {
  readonly trustDomain: TrustDomain;
  /** Begins with `/`, or is empty for the trust domain itself. */
  readonly path: string;
  readonly workload: WorkloadName | undefined;
  readonly #text: string;

  private constructor(trustDomain: TrustDomain, path: string) {
    this.trustDomain = trustDomain;
    this.path = path;
    this.#text = `spiffe://${trustDomain}${path}`;
    this.workload = workloadOf(path);
  }

  /**
   * Reads `spiffe://<trust domain>[/<path>]` by SPIFFE-ID 2.1 to 2.3, strictly: no upper-case host, no percent-encoding,
   * no empty, `.` or `..` segment, no trailing slash, no port, userinfo, query or fragment.
   *
   * @throws SealwrightError `spiffe_id_invalid` with the reason
   */
  static parse(text: string): SpiffeId {
    const refuse = (reason: string): never => {
      throw new SealwrightError('spiffe_id_invalid', { got: text.slice(0, 300), reason });
    };
    if (text.length > LONGEST) return refuse(`longer than ${LONGEST} bytes`);
    if (!text.startsWith('spiffe://')) return refuse('the scheme is not spiffe://');
    const rest = text.slice('spiffe://'.length);
    const slash = rest.indexOf('/');
    const host = slash === -1 ? rest : rest.slice(0, slash);
    const path = slash === -1 ? '' : rest.slice(slash);
    if (host === '') return refuse('the trust domain is empty');
    if (!isTrustDomain(host)) return refuse('the trust domain may hold a-z 0-9 . - _ only, at most 255');
    if (path !== '') {
      for (const segment of path.slice(1).split('/')) {
        if (segment === '')
          return refuse(path.endsWith('/') ? 'the path ends with /' : 'the path has an empty segment');
        if (segment === '.' || segment === '..') return refuse('the path has a dot segment');
        if (!SEGMENT.test(segment)) return refuse('a path segment may hold a-z A-Z 0-9 . - _ only');
      }
    }
    return new SpiffeId(host, path);
  }

  /**
   * The identity of a Kubernetes service account: `spiffe://<td>/ns/<ns>/sa/<sa>`.
   *
   * @throws SealwrightError `workload_name_invalid` where a name is not one that Kubernetes would take
   */
  static ofWorkload(trustDomain: TrustDomain, name: WorkloadName): SpiffeId {
    for (const [field, value] of Object.entries({ namespace: name.namespace, serviceAccount: name.serviceAccount })) {
      if (!KUBERNETES_NAME.test(value))
        throw new SealwrightError('workload_name_invalid', { [field]: value.slice(0, 300) });
    }
    return new SpiffeId(trustDomain, `/ns/${name.namespace}/sa/${name.serviceAccount}`);
  }

  equals(other: SpiffeId): boolean {
    return this.#text === other.#text;
  }

  toString(): string {
    return this.#text;
  }

  toJSON(): string {
    return this.#text;
  }
}

/** The Kubernetes names behind a workload's identity. */
export interface WorkloadName {
  readonly namespace: string;
  readonly serviceAccount: string;
}

function workloadOf(path: string): WorkloadName | undefined {
  const [root, ns, namespace, sa, serviceAccount, ...more] = path.split('/');
  if (root !== '' || ns !== 'ns' || sa !== 'sa' || more.length > 0) return undefined;
  if (namespace === undefined || serviceAccount === undefined) return undefined;
  return { namespace, serviceAccount };
}
