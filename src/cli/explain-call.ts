import type { Settings } from '../config/settings-table.ts';
import { SealwrightError } from '../core/errors.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { parseTrustDomain } from '../identity/trust-domain.ts';
import { compilePolicies } from '../policy/compile-policies.ts';
import { effectiveMtlsMode, type EffectiveMtlsMode } from '../policy/effective-mtls-mode.ts';
import type { Explanation } from '../policy/explain.ts';
import type { RequestFacts } from '../policy/facts.ts';
import { parseIpAddress, type IpAddress } from '../policy/ip-address.ts';
import { normalizePath, splitTarget } from '../policy/path-normalization.ts';
import { parsePort } from '../policy/port.ts';
import { meshOf } from '../resources/mesh.ts';
import { readAuthorizationPolicy, readPeerAuthentication } from '../resources/policy-resource.ts';
import type { ResourceSnapshot } from '../resources/resource-store.ts';
import { parseSidecar } from '../resources/sidecar.ts';
import { parseWorkloadEntry } from '../resources/workload-entry.ts';
import { modelOf, type PlacedWorkload } from '../../ca/distribution/mesh-model.ts';
import { isHttp, protocolOf, type PortProtocol } from '../../ca/distribution/protocol.ts';
import { sidecarFor } from '../../ca/distribution/applicable.ts';
import { parseIdentityArgument } from './identity-argument.ts';

/** A call as it is asked about on the command line. */
export interface ExplainOptions {
  readonly to: string;
  readonly from?: string;
  readonly port?: string;
  readonly method?: string;
  readonly path?: string;
  readonly header?: readonly string[];
  readonly sourceIp?: string;
}

/** One call that somebody asks about. */
export interface CallQuestion {
  readonly to: { readonly namespace: string; readonly name: string };
  /** Absent for a caller in plaintext. */
  readonly from: SpiffeId | undefined;
  readonly port: number | undefined;
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly headers: ReadonlyMap<string, string>;
  readonly sourceIp: IpAddress | undefined;
}

/** What would become of a call, and why. Plain values, to be shown. */
export interface ExplainedCall {
  readonly allowed: boolean;
  /** Whether mTLS already refuses it: then no policy is asked. */
  readonly refusedByMtls: boolean;
  readonly call: Readonly<Record<string, string | number | undefined>>;
  readonly mtls: EffectiveMtlsMode;
  readonly explanation: Explanation;
  /** Where each rule of each policy was written, by `namespace/name` of the policy. */
  readonly places: Readonly<Record<string, readonly string[]>>;
}

/** @throws SealwrightError `argument_invalid`, `spiffe_id_invalid`, `workload_name_invalid` */
export function readQuestion(options: ExplainOptions, trustDomain: string): CallQuestion {
  const [namespace = '', name = '', ...more] = options.to.split('/');
  if (namespace === '' || name === '' || more.length > 0) throw invalid('--to', options.to, 'namespace/name');
  const port = options.port === undefined ? undefined : parsePort(options.port);
  if (options.port !== undefined && port === undefined) throw invalid('--port', options.port, 'a port');
  const sourceIp = options.sourceIp === undefined ? undefined : parseIpAddress(options.sourceIp);
  if (options.sourceIp !== undefined && sourceIp === undefined) {
    throw invalid('--source-ip', options.sourceIp, 'an IP address');
  }
  const headers = new Map<string, string>();
  for (const header of options.header ?? []) {
    const colon = header.indexOf(':');
    const field = header.slice(0, Math.max(0, colon)).trim().toLowerCase();
    if (field === '') throw invalid('--header', header, 'name:value');
    const value = header.slice(colon + 1).trim();
    const before = headers.get(field);
    headers.set(field, before === undefined ? value : `${before},${value}`);
  }
  const from = options.from === undefined ? undefined : parseIdentityArgument(options.from, trustDomain);
  const { method, path } = options;
  return { to: { namespace, name }, from, port, method, path, headers, sourceIp };
}

interface Mesh {
  readonly snapshot: ResourceSnapshot;
  readonly settings: Pick<Settings, 'rootNamespace' | 'clusterId' | 'trustDomain'>;
}

/**
 * Judges a call by the resources of a folder, with the code that sidecars judge with.
 *
 * @throws SealwrightError `resource_not_found` where there is no such workload, `argument_invalid`
 */
export function explainCall(question: CallQuestion, mesh: Mesh): ExplainedCall {
  const { snapshot, settings } = mesh;
  const { rootNamespace } = settings;
  const target = findWorkload(question.to, mesh);
  const { workload } = target;
  const listener = listenerOf(question.port, target, mesh);
  const asksHttp = question.method !== undefined || question.path !== undefined || question.headers.size > 0;
  const protocol = asksHttp || isHttp(listener.protocol) ? 'http' : 'tcp';
  const resources = snapshot.list('AuthorizationPolicy');
  const { trustDomainAliases, pathNormalization } = meshOf(snapshot, rootNamespace);
  const compiled = compilePolicies({
    policies: resources.flatMap((resource) => readAuthorizationPolicy(resource).policy ?? []),
    trustDomains: { trustDomain: parseTrustDomain(settings.trustDomain), aliases: trustDomainAliases },
    workload,
    rootNamespace,
    protocol,
  });
  const sourceIp = question.sourceIp ?? addressOfCaller(question.from, snapshot) ?? LOOPBACK;
  const path = normalizePath(splitTarget(question.path ?? '/').path, pathNormalization);
  if (typeof path !== 'string') throw invalid('--path', question.path, 'a path that a sidecar does not refuse (400)');
  const request = protocol === 'http' ? requestOf(question, path) : undefined;
  const explanation = compiled.explain(
    {
      identity: question.from,
      sourceIp,
      remoteIp: sourceIp,
      destinationIp: parseIpAddress(workload.addresses[0] ?? '') ?? LOOPBACK,
      destinationPort: listener.port,
      sni: undefined,
    },
    request,
  );
  const policies = snapshot
    .list('PeerAuthentication')
    .flatMap((resource) => readPeerAuthentication(resource).policy ?? []);
  const mtls = effectiveMtlsMode({ policies, workload, rootNamespace, port: listener.port });
  const refusedByMtls = mtls.mode === 'STRICT' && question.from === undefined;
  return {
    allowed: explanation.verdict.allow && !refusedByMtls,
    refusedByMtls,
    call: {
      from: question.from?.toString() ?? 'nobody (plaintext)',
      to: `${workload.namespace}/${workload.name}`,
      port: listener.port,
      protocol,
      method: request?.method,
      path: request?.path,
      sourceIp: sourceIp.text,
    },
    mtls,
    explanation,
    places: Object.fromEntries(
      resources.map((resource) => {
        const rules = resource.spec['rules'];
        const count = Array.isArray(rules) ? rules.length : 0;
        const places = Array.from({ length: count }, (_, index) => {
          const { line, column } = resource.origin.locate(`spec.rules[${index}]`);
          return `${resource.origin.file ?? ''}:${line}:${column}`;
        });
        return [`${resource.namespace}/${resource.name}`, places];
      }),
    ),
  };
}

const LOOPBACK: IpAddress = Object.freeze({ family: 4, words: [0x7f000001], text: '127.0.0.1' });

function findWorkload({ namespace, name }: CallQuestion['to'], { snapshot, settings }: Mesh): PlacedWorkload {
  const resource = snapshot.get({ kind: 'WorkloadEntry', namespace, name });
  const uid = `${settings.clusterId}/networking.istio.io/WorkloadEntry/${namespace}/${name}`;
  const found = modelOf(snapshot, settings).workloads.find(({ workload }) => workload.uid === uid);
  if (resource === undefined || found === undefined) {
    throw new SealwrightError('resource_not_found', { kind: 'WorkloadEntry', namespace, name });
  }
  return found;
}

interface Listener {
  readonly port: number;
  readonly protocol: PortProtocol;
}

/** The port that is meant: policy names ports as the sidecar listens on them, which a Sidecar may say otherwise. */
function listenerOf(port: number | undefined, target: PlacedWorkload, { snapshot, settings }: Mesh): Listener {
  const { namespace, labels } = target.workload;
  const chosen = sidecarFor(snapshot, { namespace, labels, rootNamespace: settings.rootNamespace });
  const ingress = chosen === undefined ? [] : (parseSidecar(chosen).value?.ingress ?? []);
  const own = target.ports.map(({ number, protocol }) => ({ port: number, protocol }));
  const listeners =
    ingress.length === 0
      ? own
      : ingress.map(({ port: { number, protocol } }) => ({ port: number, protocol: protocolOf(protocol) }));
  if (port !== undefined) return listeners.find((one) => one.port === port) ?? { port, protocol: protocolOf('') };
  const [only] = listeners;
  if (only !== undefined && listeners.length === 1) return only;
  const known = listeners.map((one) => one.port).join(', ') || 'none is known';
  throw new SealwrightError('argument_invalid', { argument: '--port', expected: `one of the workload's: ${known}` });
}

function requestOf({ method = 'GET', path: sent = '/', headers }: CallQuestion, path: string): RequestFacts {
  return {
    method,
    path,
    host: headers.get('host'),
    header: (name) => (name === ':path' ? sent : name === ':scheme' ? 'http' : headers.get(name)),
  };
}

/** Where exactly one workload has the identity and an address, that is where it calls from. */
function addressOfCaller(identity: SpiffeId | undefined, snapshot: ResourceSnapshot): IpAddress | undefined {
  const account = identity?.workload;
  if (account === undefined) return undefined;
  const entries = snapshot.list('WorkloadEntry', account.namespace).flatMap((resource) => {
    return parseWorkloadEntry(resource).value ?? [];
  });
  const own = entries.filter(({ serviceAccount }) => serviceAccount === account.serviceAccount);
  return own.length === 1 ? parseIpAddress(own[0]?.address ?? '') : undefined;
}

function invalid(argument: string, got: string | undefined, expected: string): SealwrightError {
  return new SealwrightError('argument_invalid', { argument, got: got?.slice(0, 200), expected });
}
