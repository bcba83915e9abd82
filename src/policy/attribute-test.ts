import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { Condition } from './authorization-policy.ts';
import type { ConnectionFacts, JwtFacts, RequestFacts } from './facts.ts';
import type { IpAddress } from './ip-address.ts';
import { contains, parseIpRange } from './ip-range.ts';
import { textsOfClaim } from './jwt-claim.ts';
import { compileNamespace } from './namespace-pattern.ts';
import { compilePath } from './path-pattern.ts';
import { parsePort } from './port.ts';
import { compilePrincipal, type IdentityTest } from './principal-pattern.ts';
import { compileRequestPrincipal } from './request-principal-pattern.ts';
import { headerReader, headerTest, safeHeader } from './request-header.ts';
import { compileServiceAccount, parseServiceAccount } from './service-account-reference.ts';
import { compileStringPatterns } from './string-pattern.ts';
import { expandPrincipal, expandTrustDomain, type TrustDomains } from './trust-domain-aliases.ts';
import { compileTrustDomain } from './trust-domain-pattern.ts';

export type ConnectionTest = (facts: ConnectionFacts) => boolean;
export type AddressTest = (address: IpAddress) => boolean;
export type RequestTest = (facts: RequestFacts) => boolean;

/** The values of one condition as a test, by when its answer can be known. `read` is for explanations only. */
export type AttributeTest =
  | {
      readonly phase: 'connection';
      readonly test: ConnectionTest;
      readonly read: (facts: ConnectionFacts) => string | undefined;
    }
  | { readonly phase: 'remote-address'; readonly test: AddressTest }
  | {
      readonly phase: 'request';
      readonly test: RequestTest;
      readonly read: (facts: RequestFacts) => string | undefined;
    };

/** What a condition's meaning depends on besides itself. */
export interface ConditionContext {
  /** Of the policy: a service account without a namespace is in it. */
  readonly namespace: string;
  readonly trustDomains: TrustDomains;
}

/** Compiles one condition, its negation included. */
export function compileCondition(condition: Condition, context: ConditionContext): AttributeTest {
  const compiled = compileValues(condition, context);
  if (!condition.negated) return compiled;
  if (compiled.phase === 'connection') return { ...compiled, test: not(compiled.test) };
  if (compiled.phase === 'request') return { ...compiled, test: not(compiled.test) };
  return { ...compiled, test: not(compiled.test) };
}

function not<Facts>(test: (facts: Facts) => boolean): (facts: Facts) => boolean {
  return (facts) => !test(facts);
}

function compileValues({ attribute, values }: Condition, context: ConditionContext): AttributeTest {
  const { namespace, trustDomains } = context;
  switch (attribute.name) {
    case 'source.principal': {
      const expanded = values.flatMap((value) => expandPrincipal(value, trustDomains));
      return ofIdentity(expanded.map(compilePrincipal), (identity) => `${identity.trustDomain}${identity.path}`);
    }
    case 'source.namespace':
      return ofIdentity(values.map(compileNamespace), ({ workload, path }) => workload?.namespace ?? path);
    case 'source.serviceAccount': {
      const tests = values.map((value) => compileServiceAccount(parseServiceAccount(value, namespace)));
      return ofIdentity(tests, ({ workload, path }) =>
        workload === undefined ? path : `${workload.namespace}/${workload.serviceAccount}`,
      );
    }
    case 'source.trustDomain': {
      const expanded = values.flatMap((value) => expandTrustDomain(value, trustDomains));
      return ofIdentity(expanded.map(compileTrustDomain), ({ trustDomain }) => trustDomain);
    }
    case 'source.ip': {
      const within = compileRanges(values);
      return { phase: 'connection', test: ({ sourceIp }) => within(sourceIp), read: ({ sourceIp }) => sourceIp.text };
    }
    case 'destination.ip': {
      const within = compileRanges(values);
      return {
        phase: 'connection',
        test: ({ destinationIp }) => within(destinationIp),
        read: ({ destinationIp }) => destinationIp.text,
      };
    }
    case 'remote.ip':
      return { phase: 'remote-address', test: compileRanges(values) };
    case 'destination.port': {
      const ports: ReadonlySet<number | undefined> = new Set(values.map(parsePort));
      return {
        phase: 'connection',
        test: ({ destinationPort }) => ports.has(destinationPort),
        read: ({ destinationPort }) => String(destinationPort),
      };
    }
    case 'connection.sni': {
      const matches = compileStringPatterns(values, { present: 'non-empty' });
      return { phase: 'connection', test: ({ sni }) => matches(sni), read: ({ sni }) => sni };
    }
    case 'request.method': {
      const matches = compileStringPatterns(values, { present: 'given' });
      return { phase: 'request', test: ({ method }) => matches(method), read: ({ method }) => method };
    }
    case 'request.host': {
      const matches = compileStringPatterns(values, { present: 'given', ignoreCase: true });
      return { phase: 'request', test: ({ host }) => matches(host), read: ({ host }) => host };
    }
    case 'request.path': {
      const matches = compilePath(values);
      return { phase: 'request', test: ({ path }) => matches(path), read: ({ path }) => path };
    }
    case 'request.headers': {
      const matches = compileStringPatterns(values, { present: 'given' });
      const readHeader = headerReader(attribute.header);
      return {
        phase: 'request',
        test: headerTest(attribute.header, matches),
        read: (facts) => safeHeader(attribute.header, readHeader(facts)),
      };
    }
    case 'request.auth.principal': {
      const tests = values.map(compileRequestPrincipal);
      return ofToken(
        (jwt) => tests.some((test) => test(jwt)),
        ({ claims }) => `${String(claims['iss'])}/${String(claims['sub'])}`,
      );
    }
    case 'request.auth.audiences':
      return ofClaim(['aud'], values);
    case 'request.auth.presenter':
      return ofClaim(['azp'], values);
    case 'request.auth.claims':
      return ofClaim(attribute.claim, values);
    case 'experimental.envoy.filters':
      break;
  }
  // Never asked (see attribute-traits.ts); if it were, it would not hold.
  return { phase: 'connection', test: () => false, read: () => undefined };
}

function ofIdentity(tests: readonly IdentityTest[], read: (identity: SpiffeId) => string): AttributeTest {
  const [only] = tests;
  const test: IdentityTest =
    tests.length === 1 && only !== undefined ? only : (identity) => tests.some((one) => one(identity));
  return {
    phase: 'connection',
    test: ({ identity }) => identity !== undefined && test(identity),
    read: ({ identity }) => (identity === undefined ? undefined : read(identity)),
  };
}

function ofToken(test: (jwt: JwtFacts) => boolean, read: (jwt: JwtFacts) => string): AttributeTest {
  return {
    phase: 'request',
    test: ({ jwt }) => jwt !== undefined && test(jwt),
    read: ({ jwt }) => (jwt === undefined ? undefined : read(jwt)),
  };
}

function ofClaim(path: readonly string[], values: readonly string[]): AttributeTest {
  const matches = compileStringPatterns(values, { present: 'non-empty' });
  return ofToken(
    (jwt) => textsOfClaim(jwt, path).some(matches),
    (jwt) => textsOfClaim(jwt, path).join(' '),
  );
}

function compileRanges(values: readonly string[]): AddressTest {
  const ranges = values.flatMap((value) => parseIpRange(value) ?? []);
  return (address) => ranges.some((range) => contains(range, address));
}
