import type { Settings } from '../config/settings-table.ts';
import { SealwrightError } from '../core/errors.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { parseTrustDomain } from '../identity/trust-domain.ts';
import { compilePolicies } from '../policy/compile-policies.ts';
import { effectiveMtlsMode, type EffectiveMtlsMode } from '../policy/effective-mtls-mode.ts';
import type { AskedProvider, Explanation } from '../policy/explain.ts';
import type { RequestFacts } from '../policy/facts.ts';
import { joinedHeader } from '../policy/header-value.ts';
import { parseIpAddress, type IpAddress } from '../policy/ip-address.ts';
import { normalizePath, splitTarget } from '../policy/path-normalization.ts';
import { tokenRulesFor } from '../policy/request-authentication.ts';
import { meshOf } from '../resources/mesh.ts';
import {
  readAuthorizationPolicy,
  readPeerAuthentication,
  readRequestAuthentication,
} from '../resources/policy-resource.ts';
import type { ResourceSnapshot } from '../resources/resource-store.ts';
import { parseWorkloadEntry } from '../resources/workload-entry.ts';
import { modelOf } from '../../ca/distribution/mesh-model.ts';
import type { PlacedWorkload } from '../../ca/distribution/placed-workload.ts';
import { isHttp, isSniffed, isUnreadHttp, protocolOf, type PortProtocol } from '../../ca/distribution/protocol.ts';
import { createTrustedProxies } from '../../proxy/authorize/trusted-proxies.ts';
import { invalid, type CallQuestion } from './explain-question.ts';
import { explainTokens, type ShownTokenRule } from './explain-tokens.ts';
import { listenersOfWorkload, type WorkloadListener } from '../../ca/distribution/workload-listeners.ts';

/** What would become of a call, and why. Plain values, to be shown. */
export interface ExplainedCall {
  /** Where providers are asked: whether it is once all agree. */
  readonly allowed: boolean;
  /** Providers that are asked first, in the order of their names. */
  readonly asks: readonly ShownProvider[];
  /** The rules by which tokens are verified before DENY and ALLOW are judged. */
  readonly tokens: readonly ShownTokenRule[];
  /** Why the handshake already ends it, before any policy is asked. */
  readonly refusedByMtls: string | undefined;
  /** Why it is refused without being read, where it is HTTP/2. */
  readonly refusedUnread: string | undefined;
  readonly call: Readonly<Record<string, string | number | undefined>>;
  readonly mtls: EffectiveMtlsMode;
  readonly explanation: Explanation;
  /** What was assumed, and what a reader may not expect. */
  readonly notes: readonly string[];
  /** Where each rule of each policy was written, by `namespace/name` of the policy. */
  readonly places: Readonly<Record<string, readonly string[]>>;
}

export interface ShownProvider extends AskedProvider {
  /** Whether the mesh settings have it. */
  readonly known: boolean;
  /** Why it cannot be asked, so that what it would be asked about is refused; absent where it can. */
  readonly inVain?: string | undefined;
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
  const protocol = protocolAsked(question, listener.protocol);
  const resources = snapshot.list('AuthorizationPolicy');
  const { trustDomainAliases, pathNormalization, trustedProxies, extensionProviders } = meshOf(snapshot, rootNamespace);
  const trustDomains = { trustDomain: parseTrustDomain(settings.trustDomain), aliases: trustDomainAliases };
  const compiled = compilePolicies({
    policies: resources.flatMap((resource) => readAuthorizationPolicy(resource).policy ?? []),
    trustDomains,
    workload,
    rootNamespace,
    protocol,
  });
  const sourceIp = question.sourceIp ?? addressOfCaller(question.from, snapshot) ?? LOOPBACK;
  const path = normalizePath(splitTarget(question.path ?? '/').path, pathNormalization);
  if (typeof path !== 'string') throw invalid('--path', question.path, 'a path that a sidecar does not refuse (400)');
  const mtls = effectiveMtlsMode({
    policies: snapshot.list('PeerAuthentication').flatMap((resource) => readPeerAuthentication(resource).policy ?? []),
    workload,
    rootNamespace,
    port: listener.port,
  });
  // Where TLS is not opened, nobody proves who they are.
  const identity = mtls.mode === 'DISABLE' ? undefined : question.from;
  const proxies = createTrustedProxies(trustedProxies);
  const forwarded = proxies.trusts({ address: sourceIp, identity: identity?.toString() })
    ? proxies.clientOf(joinedHeader(question.headers.get('x-forwarded-for')))
    : undefined;
  const remoteIp = question.remoteIp ?? (protocol === 'http' ? forwarded : undefined) ?? sourceIp;
  const authentications = snapshot
    .list('RequestAuthentication')
    .flatMap((resource) => readRequestAuthentication(resource).policy ?? []);
  const tokens =
    protocol === 'http' ? explainTokens(question, authentications, { workload, rootNamespace }) : undefined;
  const request = protocol === 'http' ? requestOf(question, path, tokens?.jwt) : undefined;
  const explanation = compiled.explain(
    {
      identity,
      sourceIp,
      remoteIp,
      destinationIp: parseIpAddress(workload.addresses[0] ?? '') ?? LOOPBACK,
      destinationPort: listener.port,
      sni: question.sni,
    },
    request,
  );
  const refusedByMtls = refusalOf(question.from, mtls, trustDomains);
  const asks = explanation.asks.flatMap((asked): ShownProvider[] => {
    const provider = extensionProviders.find(({ name }) => name === asked.provider);
    if (provider === undefined || provider.kind === 'other') {
      return [{ ...asked, known: false, inVain: 'is no authorization provider of the mesh settings' }];
    }
    if (provider.kind === 'ext-authz-grpc' || protocol === 'http') return [{ ...asked, known: true }];
    // As a sidecar has it (custom-step.ts): at a port that is declared as TCP an HTTP provider is passed over. Where only
    // the first bytes say so, they may have been chosen to get past it, and nothing is let through.
    if (!isSniffed(listener.protocol) && !isUnreadHttp(listener.protocol)) return [];
    return [{ ...asked, known: true, inVain: 'is asked about HTTP only, and the port is not declared as TCP' }];
  });
  const refusedUnread =
    isUnreadHttp(listener.protocol) && tokenRulesFor(authentications, { workload, rootNamespace }).length > 0
      ? 'HTTP/2 is not read, and its tokens are to be verified'
      : undefined;
  const refused = refusedByMtls ?? refusedUnread;
  return {
    allowed: explanation.judged.allow && asks.every(({ inVain }) => inVain === undefined) && refused === undefined,
    asks,
    tokens: tokens?.rules ?? [],
    refusedByMtls,
    refusedUnread,
    call: {
      from: question.from?.toString() ?? 'nobody (plaintext)',
      to: `${workload.namespace}/${workload.name}`,
      port: listener.port,
      protocol,
      method: request?.method,
      path: request?.path,
      host: request?.host,
      sourceIp: sourceIp.text,
      remoteIp: remoteIp === sourceIp ? undefined : remoteIp.text,
      sni: question.sni,
    },
    mtls,
    explanation,
    notes: [
      ...portNotes(listener.port, target, mesh),
      ...notesOf(question, { mtls, protocol, declared: listener.protocol }),
      ...(tokens?.notes ?? []),
    ],
    places: Object.fromEntries(
      resources.map((resource) => {
        const rules = resource.spec['rules'];
        const count = Array.isArray(rules) ? rules.length : 0;
        const places = Array.from({ length: count }, (_, index) => {
          const { line = '', column = '' } = resource.origin.locate(`spec.rules[${index}]`) ?? {};
          return `${resource.origin.file ?? ''}:${line}:${column}`;
        });
        return [`${resource.namespace}/${resource.name}`, places];
      }),
    ),
  };
}

/** A port that is declared as TCP is judged as TCP, whatever is asked; one that says nothing, as what is asked. */
function protocolAsked(question: CallQuestion, declared: PortProtocol): 'http' | 'tcp' {
  if (isUnreadHttp(declared)) return 'tcp';
  if (isHttp(declared)) return 'http';
  return isSniffed(declared) && asksHttp(question) ? 'http' : 'tcp';
}

function asksHttp({ method, path, headers, claims }: CallQuestion): boolean {
  return method !== undefined || path !== undefined || headers.size > 0 || claims !== undefined;
}

function refusalOf(
  from: SpiffeId | undefined,
  { mode }: EffectiveMtlsMode,
  { trustDomain, aliases }: { readonly trustDomain: string; readonly aliases: readonly string[] },
): string | undefined {
  if (mode === 'DISABLE') return undefined;
  if (from === undefined) {
    return mode === 'STRICT'
      ? 'the port is STRICT and the caller presents no certificate; no policy is asked'
      : undefined;
  }
  if (from.trustDomain === trustDomain || aliases.includes(from.trustDomain)) return undefined;
  return `no certificate of the trust domain ${from.trustDomain} is accepted here; no policy is asked`;
}

/** The likeliest mistake: to name the port of a Service, where no policy for the workload's port holds. */
function portNotes(port: number, target: PlacedWorkload, { snapshot, settings }: Mesh): string[] {
  const listeners = listenersOfWorkload(target, { snapshot, rootNamespace: settings.rootNamespace });
  if (listeners.some((one) => one.port === port)) return [];
  const { namespace, name } = target.workload;
  const known = listeners.length === 0 ? '' : `, but on ${listeners.map((one) => one.port).join(', ')}`;
  return [
    `nothing says that ${namespace}/${name} listens on ${port}${known}; policy means its own port, not that of a Service`,
  ];
}

function notesOf(
  question: CallQuestion,
  {
    mtls,
    protocol,
    declared,
  }: { readonly mtls: EffectiveMtlsMode; readonly protocol: 'http' | 'tcp'; readonly declared: PortProtocol },
): string[] {
  const notes: string[] = [];
  if (question.claims !== undefined) {
    notes.push('the claims of --jwt were taken as verified: neither signature nor times nor issuer were looked at');
  }
  if (isUnreadHttp(declared)) {
    notes.push(
      'the port is declared as HTTP/2, which is not read yet and passes as TCP: method, path, headers and JWT were left ' +
        'out; a request over HTTP/1.1 is read and judged as such',
    );
  } else if (protocol === 'tcp' && asksHttp(question)) {
    notes.push(
      'the port is declared as TCP: nothing of HTTP is read there, so method, path, headers and JWT were left out',
    );
  }
  if (mtls.mode === 'DISABLE' && question.from !== undefined) {
    notes.push('the port is DISABLE: it opens no TLS, so the caller proves no identity');
  }
  return notes;
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

/** The port that is meant: policy names ports as the sidecar listens on them, which a Sidecar may say otherwise. */
function listenerOf(port: number | undefined, target: PlacedWorkload, { snapshot, settings }: Mesh): WorkloadListener {
  const listeners = listenersOfWorkload(target, { snapshot, rootNamespace: settings.rootNamespace });
  if (port !== undefined) return listeners.find((one) => one.port === port) ?? { port, protocol: protocolOf('') };
  const [only] = listeners;
  if (only !== undefined && listeners.length === 1) return only;
  const known = listeners.map((one) => one.port).join(', ') || 'none is known';
  throw new SealwrightError('argument_invalid', { argument: '--port', expected: `one of the workload's: ${known}` });
}

function requestOf(
  { method = 'GET', path: sent = '/', headers }: CallQuestion,
  path: string,
  jwt: RequestFacts['jwt'],
): RequestFacts {
  const target = path + splitTarget(sent).query;
  return {
    method,
    path,
    host: joinedHeader(headers.get('host')),
    header: (name) => (name === ':path' ? target : name === ':scheme' ? 'http' : headers.get(name)),
    jwt,
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
