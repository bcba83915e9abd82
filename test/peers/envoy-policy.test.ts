import { strict as assert } from 'node:assert';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { normalizeTarget } from '../../proxy/authorize/normalize-target.ts';
import { createTrustedProxies } from '../../proxy/authorize/trusted-proxies.ts';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { compilePolicies, type CompiledPolicies } from '../../src/policy/compile-policies.ts';
import type { ConnectionFacts, RequestFacts } from '../../src/policy/facts.ts';
import { joinedHeader, type HeaderValue } from '../../src/policy/header-value.ts';
import type { RuleReference } from '../../src/policy/verdict.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { loopbackNet } from '../fakes/loopback-net.ts';
import { policyDocument, policyOf } from '../policy/documents.ts';
import { address } from '../policy/facts.ts';
import { requireEnvoy } from '../fakes/running-envoy.ts';
import { EnvoyJudge, type EnvoyAnswer, type PeerConnection, type PeerRequest } from './envoy-judge.ts';
import type { HttpListener } from './envoy-filters.ts';
import { istioRbac, type PolicyDocument } from './istio-rbac.ts';
import { calls, policySets, type Call, type Words } from './policy-scenarios.ts';
import { ISSUERS, SPACE_DELIMITED, TOKENS, tokenVerifier } from './policy-tokens.ts';

const NET = loopbackNet();
const HTTP_AT: readonly HttpListener[] = [
  { ip: `${NET}.1`, port: 8080, normalization: 'BASE', trustedHops: 0 },
  { ip: `${NET}.1`, port: 9090, normalization: 'BASE', trustedHops: 0 },
  { ip: `${NET}.2`, port: 8080, normalization: 'BASE', trustedHops: 1 },
  { ip: `${NET}.3`, port: 8080, normalization: 'NONE', trustedHops: 0 },
  { ip: `${NET}.4`, port: 9090, normalization: 'MERGE_SLASHES', trustedHops: 0 },
  { ip: `${NET}.5`, port: 8080, normalization: 'DECODE_AND_MERGE_SLASHES', trustedHops: 2 },
];
/** What stands behind the client in X-Forwarded-For where one or two hops are trusted. */
const HOPS = ['172.16.0.1', '172.16.0.2'];
const WORDS: Words = {
  sources: ['127.0.0.1', `${NET}.200`, `${NET}.201`],
  sourceRanges: ['127.0.0.1', '127.0.0.0/8', `${NET}.0/24`, `${NET}.201`, '10.0.0.0/8', '::1'],
  destinationRanges: [`${NET}.1`, `${NET}.0/26`, '10.0.0.0/8'],
  ports: ['8080', '9090', '80'],
};
const TRUST_DOMAINS = ['cluster.local', 'old.local'];

/** `PEER_ROUNDS` is the length of the soak, and `PEER_SEED` repeats one run. */
const ROUNDS = Number(process.env['PEER_ROUNDS'] ?? 1);
const SEED = Number(process.env['PEER_SEED'] ?? (ROUNDS === 1 ? 20_260_801 : Date.now() % 2 ** 31));
const HTTP_SETS = 300;
const CALLS_OF_SET = 30;
const TCP_SETS = 60;
const CALLS_OF_TCP_SET = 12;

/** What is different on purpose. Each is shown by a call of its own, and kept out of the words that calls are drawn of. */
interface Difference {
  readonly reason: string;
  readonly rule: unknown;
  readonly principal?: string;
  readonly target?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Which of the addresses that Envoy listens at. */
  readonly at?: number;
  readonly ours: 'matches' | 'does not match';
}

const DIFFERENCES: readonly Difference[] = [
  {
    reason: "Istio's expression for a namespace `*a` runs on into `/sa/`, and so matches every namespace",
    rule: { from: [{ source: { namespaces: ['*a'] } }] },
    principal: 'spiffe://cluster.local/ns/shop/sa/web',
    ours: 'does not match',
  },
  {
    reason: 'in a namespace called `ns`, Istio takes the word `sa` behind it for a namespace too',
    rule: { from: [{ source: { namespaces: ['sa'] } }] },
    principal: 'spiffe://cluster.local/ns/ns/sa/web',
    ours: 'does not match',
  },
  {
    reason: 'a namespace with a star in it ends at the `/` with us; with Istio the star runs over segments',
    rule: { from: [{ source: { namespaces: ['s*x'] } }] },
    principal: 'spiffe://other.org/ns/shop/x/sa/web',
    ours: 'does not match',
  },
  {
    reason:
      'an operator of a path template takes RFC 3986 pchar only in Envoy, so that other characters get past a DENY',
    rule: { to: [{ operation: { paths: ['/a/{*}'] } }] },
    target: '/a/[x]',
    ours: 'matches',
  },
  {
    reason:
      'behind a trusted proxy that says of its client what is no address, the client is that proxy with us; Envoy takes ' +
      'the direct peer for it, which it has just been told is a proxy before this one',
    rule: { from: [{ source: { remoteIpBlocks: ['172.16.0.0/12'] } }] },
    headers: { 'x-forwarded-for': '10.1.2.3, unknown, 172.16.0.1' },
    at: 2,
    ours: 'matches',
  },
];

function compile(documents: readonly PolicyDocument[], protocol: 'http' | 'tcp'): CompiledPolicies {
  const [trustDomain = '', ...aliases] = TRUST_DOMAINS;
  return compilePolicies({
    policies: documents.map(policyOf),
    workload: { namespace: 'shop', labels: {} },
    rootNamespace: 'root',
    trustDomains: { trustDomain, aliases },
    protocol,
  });
}

function connectionFacts({ principal, sni, sourceIp, destination }: PeerConnection): ConnectionFacts {
  return {
    identity: principal === undefined ? undefined : SpiffeId.parse(principal),
    sourceIp: address(sourceIp),
    remoteIp: 'per-request',
    destinationIp: address(destination.ip),
    destinationPort: destination.port,
    sni: sni?.toLowerCase(),
  };
}

/** The request as the sidecar would have read it; nothing where it would have refused it. */
function requestFacts(request: PeerRequest, at: HttpListener, encrypted: boolean): RequestFacts | undefined {
  const normalized = normalizeTarget(request.target, at.normalization);
  if (normalized === undefined) return undefined;
  const headers = new Map<string, HeaderValue>([
    [':path', normalized],
    [':method', request.method],
    [':scheme', encrypted ? 'https' : 'http'],
  ]);
  for (const [name, value] of Object.entries(request.headers)) {
    headers.set(name.toLowerCase(), value);
  }
  const proxies = createTrustedProxies(HOPS.slice(0, at.trustedHops));
  const claims = request.token === undefined ? undefined : TOKENS[request.token]?.claims;
  return {
    method: request.method,
    path: normalized.split('?')[0] ?? '',
    host: request.host,
    header: (name) => headers.get(name),
    jwt: claims === undefined ? undefined : { claims, spaceDelimitedClaims: SPACE_DELIMITED },
    remoteIp: proxies.clientOf(joinedHeader(headers.get('x-forwarded-for'))),
  };
}

function idOf(reference: RuleReference | undefined): string | undefined {
  if (reference === undefined) return undefined;
  const { policy, rule } = reference;
  return `ns[${policy.namespace}]-policy[${policy.name}]-rule[${rule}]`;
}

/** What Envoy would have to answer if it judged as we do. */
function ourAnswer(
  compiled: CompiledPolicies,
  connection: PeerConnection & { readonly destination: HttpListener },
  request: PeerRequest,
): EnvoyAnswer {
  const facts = requestFacts(request, connection.destination, connection.principal !== undefined);
  if (facts === undefined) return REFUSED;
  const bound = compiled.forConnection(connectionFacts(connection));
  // As when every provider has agreed.
  const verdict = bound.judge(facts);
  const shadow = bound.shadow(facts);
  const besides = {
    audited: bound.audit(facts) !== undefined,
    asked: idOf(bound.toAsk(facts)[0]?.rule),
    dryDeny: idOf(shadow?.deny),
    dryAllow: idOf(shadow?.allow),
  };
  return verdict.allow
    ? { status: 200, details: 'direct_response', allowedBy: idOf(verdict.matched), ...besides }
    : { status: 403, details: verdict.details, allowedBy: undefined, ...besides };
}

const REFUSED: EnvoyAnswer = {
  status: 400,
  details: '',
  allowedBy: undefined,
  audited: false,
  asked: undefined,
  dryDeny: undefined,
  dryAllow: undefined,
};

/** The call as the proxies before this listener would send it on. */
function throughProxies({ request: drawn }: Call, { trustedHops, normalization }: HttpListener): PeerRequest {
  // What BASE would encode or turn into / is none of the characters that Envoy's path templates know.
  const target = normalization === 'NONE' ? drawn.target.replaceAll(/[\\|]/g, '/') : drawn.target;
  const request = { ...drawn, target };
  const forwarded = joinedHeader(request.headers['x-forwarded-for']);
  if (trustedHops === 0 || forwarded === undefined) return request;
  // Beyond a name that is no address the two differ, which has a call of its own.
  const client = forwarded.replaceAll(/unknown|[^, ]+:4711/g, '10.9.9.9');
  return {
    ...request,
    headers: { ...request.headers, 'x-forwarded-for': [client, ...HOPS.slice(0, trustedHops)].join(', ') },
  };
}

/** So many at a time. */
async function inTurns<T>(items: readonly T[], width: number, act: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const item of waiting) await act(item);
    }),
  );
}

interface Drawn {
  readonly documents: readonly PolicyDocument[];
  readonly calls: readonly Call[];
}

function draw(seed: number, numRuns: number, most: number): readonly Drawn[] {
  const drawn = fc.record({
    documents: policySets(WORDS),
    calls: fc.array(calls(WORDS), { minLength: most, maxLength: most }),
  });
  return fc.sample(drawn, { seed, numRuns });
}

describe('policies judged by a real Envoy, configured as Istio does, and by us', function () {
  this.timeout(60_000 + ROUNDS * 60_000);

  for (let round = 0; round < ROUNDS; round += 1) {
    const seed = SEED + round;

    it(`have one answer, one rule named and one audit for each HTTP request (seed ${seed}, slow)`, async function () {
      const program = requireEnvoy(this);
      const sets = draw(seed, HTTP_SETS, CALLS_OF_SET);
      const http = sets.map(({ documents }) => istioRbac(documents, { protocol: 'http', trustDomains: TRUST_DOMAINS }));
      const judge = await EnvoyJudge.start({ program, folder: temporaryFolder(this), http, httpAt: HTTP_AT, tcp: [] });
      const outcomes = new Map<string, number>();
      const differing: unknown[] = [];
      try {
        const asked = sets.flatMap(({ documents, calls: drawn }, set) => {
          const compiled = compile(documents, 'http');
          return drawn.map((call) => ({ set, documents, compiled, call }));
        });
        await inTurns(asked, 24, async ({ set, documents, compiled, call }) => {
          const destination = HTTP_AT[call.destination % HTTP_AT.length] ?? HTTP_AT[0]!;
          const connection = { ...call.connection, destination };
          const request = throughProxies(call, destination);
          const envoy = await judge.ask(set, connection, request);
          const ours = ourAnswer(compiled, connection, request);
          const kind = ours.details.endsWith('[none]')
            ? '403 none'
            : `${ours.status} ${ours.allowedBy === undefined ? '' : 'by a rule'}`;
          outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
          for (const besides of ['audited', 'asked', 'dryDeny', 'dryAllow'] as const) {
            const told = ours[besides] !== undefined && ours[besides] !== false;
            if (told) outcomes.set(besides, (outcomes.get(besides) ?? 0) + 1);
          }
          if (!isDeepStrictEqual(ours, envoy)) differing.push({ ours, envoy, connection, request, documents });
        });
      } finally {
        await judge.stop();
      }
      assert.equal(
        differing.length,
        0,
        `${differing.length} differ:\n${JSON.stringify(differing.slice(0, 3), null, 1)}`,
      );
      const kinds = ['200 ', '200 by a rule', '403 ', '403 none', 'audited', 'asked', 'dryDeny', 'dryAllow'];
      for (const kind of kinds) {
        const enough = kind.startsWith('dry') ? 150 : 300;
        assert.ok((outcomes.get(kind) ?? 0) >= enough, `${kind} is hardly compared: ${JSON.stringify([...outcomes])}`);
      }
    });

    it(`have one answer for each TCP connection (seed ${seed}, slow)`, async function () {
      const program = requireEnvoy(this);
      const sets = draw(seed, TCP_SETS, CALLS_OF_TCP_SET).map((set, index) => ({
        ...set,
        at: { ip: `${NET}.${100 + index}`, port: index % 2 === 0 ? 8080 : 9090 },
      }));
      const tcp = sets.map(({ documents, at }) => ({
        at,
        rbac: istioRbac(documents, { protocol: 'tcp', trustDomains: TRUST_DOMAINS }),
      }));
      const judge = await EnvoyJudge.start({ program, folder: temporaryFolder(this), http: [], httpAt: [], tcp });
      const differing: unknown[] = [];
      const outcomes = { allowed: 0, denied: 0 };
      try {
        const asked = sets.flatMap(({ documents, calls: drawn, at }) => {
          const compiled = compile(documents, 'tcp');
          return drawn.map((call) => ({ documents, compiled, connection: { ...call.connection, destination: at } }));
        });
        await inTurns(asked, 12, async ({ documents, compiled, connection }) => {
          const envoy = await judge.askTcp(connection);
          const ours = compiled.forConnection(connectionFacts(connection)).judged;
          outcomes[envoy ? 'allowed' : 'denied'] += 1;
          if (ours?.allow !== envoy) differing.push({ ours, envoy, connection, documents });
        });
      } finally {
        await judge.stop();
      }
      assert.equal(
        differing.length,
        0,
        `${differing.length} differ:\n${JSON.stringify(differing.slice(0, 3), null, 1)}`,
      );
      assert.ok(Math.min(outcomes.allowed, outcomes.denied) >= 40, JSON.stringify(outcomes));
    });
  }

  it('are asked about tokens that are good, and that say what both are told', async () => {
    const verifiers = ISSUERS.map(tokenVerifier);
    for (const { claims, text } of TOKENS) {
      const said = (await Promise.all(verifiers.map(async (verifier) => verifier.verify(text)))).filter(
        (each) => typeof each !== 'string',
      );
      assert.deepEqual(
        said.map(({ jwt }) => jwt.claims),
        [{ ...claims, exp: 4_000_000_000 }],
      );
    }
  });

  it('differ where, and only where, it is said why', async function () {
    const program = requireEnvoy(this);
    const sets = DIFFERENCES.map(({ rule }) => [policyDocument({ action: 'DENY', rules: [rule] }) as PolicyDocument]);
    const http = sets.map((documents) => istioRbac(documents, { protocol: 'http', trustDomains: TRUST_DOMAINS }));
    const judge = await EnvoyJudge.start({ program, folder: temporaryFolder(this), http, httpAt: HTTP_AT, tcp: [] });
    try {
      for (const [set, { reason, principal, target = '/', headers = {}, at = 0, ours }] of DIFFERENCES.entries()) {
        const connection = { principal, sni: undefined, sourceIp: '127.0.0.1', destination: HTTP_AT[at]! };
        const request = { method: 'GET', target, host: 'a.example', headers };
        const answers = [
          ourAnswer(compile(sets[set] ?? [], 'http'), connection, request).status,
          (await judge.ask(set, connection, request)).status,
        ];
        assert.deepEqual(answers, ours === 'matches' ? [403, 200] : [200, 403], reason);
      }
    } finally {
      await judge.stop();
    }
  });
});
