import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { SealwrightError } from '../../src/core/errors.ts';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { AuthorizationPolicy, Condition } from '../../src/policy/authorization-policy.ts';
import type { ConnectionFacts, RequestFacts } from '../../src/policy/facts.ts';
import { parseIpAddress, type IpAddress } from '../../src/policy/ip-address.ts';
import { address } from './facts.ts';

/** Facts as plain values, before they are put into anybody's words. */
export interface DrawnFacts {
  /** With its scheme; a valid SPIFFE ID. */
  principal: string | undefined;
  sourceIp: IpAddress;
  remoteIp: IpAddress;
  /** Whether each request says `remoteIp`, or the connection. */
  perRequest: boolean;
  destinationIp: IpAddress;
  port: number;
  sni: string | undefined;
  method: string;
  host: string;
  path: string;
  /** By lower-case name, without pseudo-headers; several lines of one as a list. */
  headers: Record<string, string | string[]>;
  claims: Record<string, unknown> | undefined;
}

/** Which rule the facts are aimed at, if any, and which of its conditions is missed. */
export interface Aim {
  readonly target: number;
  readonly missed: number;
  readonly choice: number;
}

export const aims: fc.Arbitrary<Aim> = fc.record({
  target: fc.oneof(fc.constant(-1), fc.nat()),
  missed: fc.option(fc.nat({ max: 12 }), { nil: -1 }),
  choice: fc.nat(),
});

/** Random facts made of the words that stand in the policies and of near misses; half of them are aimed at a rule. */
export function randomFacts(policies: readonly AuthorizationPolicy[]): fc.Arbitrary<DrawnFacts> {
  return fc.tuple(unaimedFacts(policies), aims).map(([facts, aim]) => aimAt(policies, facts, aim));
}

/** Each source with each operation and all of `when`: what has to hold together. */
function targetsIn(policies: readonly AuthorizationPolicy[]): readonly (readonly Condition[])[] {
  return policies.flatMap(({ rules }) =>
    rules.flatMap(({ from, to, when }) =>
      (from.length === 0 ? [[]] : from).flatMap((source) =>
        (to.length === 0 ? [[]] : to).map((operation) => [...source, ...operation, ...when]),
      ),
    ),
  );
}

/** The facts changed so that every condition of one rule that can be met is met, save at most one. */
export function aimAt(
  policies: readonly AuthorizationPolicy[],
  facts: DrawnFacts,
  { target, missed, choice }: Aim,
): DrawnFacts {
  const targets = targetsIn(policies);
  const conditions = target === -1 ? [] : (targets[target % Math.max(1, targets.length)] ?? []);
  const hit: DrawnFacts = { ...facts, headers: { ...facts.headers } };
  for (const [index, condition] of conditions.entries()) {
    if (!condition.negated && index !== missed) meet(hit, condition, choice + index);
  }
  return hit;
}

/** Facts made of the words of the policies, aimed at none. */
export function unaimedFacts(policies: readonly AuthorizationPolicy[]): fc.Arbitrary<DrawnFacts> {
  const conditions = targetsIn(policies).flat();
  return unaimed({ written: [...new Set(conditions.flatMap(({ values }) => values))], conditions });
}

function unaimed(given: { written: readonly string[]; conditions: readonly Condition[] }): fc.Arbitrary<DrawnFacts> {
  const words = nearWords(given.written);
  const word = fc.constantFrom(...words, 'x');
  const accounts = given.written.filter((text) => text.includes('/')).map((text) => text.replace('/', '/sa/'));
  const principals = [
    ...words,
    ...words.map((text) => `td1/ns/${text}/sa/x`),
    ...words.map((text) => `cluster.local/ns/foo/sa/${text}`),
    ...words.map((text) => `${text}/ns/a/sa/b`),
    ...accounts.map((account) => `td/ns/${account}`),
    'td/k/v/ns/my-ns/x/y/sa/my-sa/z',
    'td/ns/my-ns/sa/my-sa-x',
    'td/ns/a/sa/b',
    'td',
  ].map((text) => `spiffe://${text}`);
  const fixed = ['1.2.3.4', '5.6.7.8', '9.0.0.1', '9.2.3.4', '10.0.0.1', '10.10.10.10', '192.168.10.7', '2001:db8::1'];
  const addresses = words
    .flatMap((text) => parseIpAddress(text.replace(/\/\d+$/, '')) ?? [])
    .concat(fixed.map(address));
  const ports = [443, 8080, ...given.written.map(Number).filter((port) => port > 0 && port < 65_536)];
  const paths = ['/', '/path/template/x', '/path/template/', '/x/y/path/template', '//path/template', '/x/suffix'];
  const headers = given.conditions.flatMap(({ attribute }) => ('header' in attribute ? [attribute.header] : []));
  const claim = fc.oneof(word, fc.array(word, { maxLength: 3 }), fc.constant(7));
  const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
    fc.option(arbitrary, { nil: undefined });
  return fc.record({
    principal: maybe(fc.constantFrom(...principals.filter(isIdentity))),
    sourceIp: fc.constantFrom(...addresses),
    remoteIp: fc.constantFrom(...addresses),
    perRequest: fc.boolean(),
    destinationIp: fc.constantFrom(...addresses),
    port: fc.constantFrom(...ports),
    sni: maybe(word),
    method: fc.oneof(word, fc.constantFrom('GET', 'POST')),
    host: word,
    path: fc.constantFrom(...words.filter((text) => text.startsWith('/')), ...paths),
    headers: fc.dictionary(
      fc.constantFrom(...headers.filter((name) => !name.startsWith(':')), 'x-other'),
      fc.oneof(word, fc.constant(''), fc.array(word, { minLength: 2, maxLength: 3 })),
      { maxKeys: 2 },
    ),
    claims: maybe(
      fc.record({
        iss: fc.oneof(word, fc.constant('https://example.com')),
        sub: fc.oneof(word, fc.constant('')),
        aud: claim,
        azp: claim,
        scope: fc.oneof(claim, fc.constantFrom('read write', 'x admin')),
        nested1: fc.record({ nested2: claim }),
      }),
    ),
  });
}

/** The words of a policy, and what is nearly one of them. */
function nearWords(written: readonly string[]): string[] {
  const filled = written.flatMap((text) => [fill(text, 'x'), fill(text, ''), text]);
  return [
    ...new Set(
      filled.flatMap((text) => [text, `${text}x`, `x${text}`, text.slice(1), text.slice(0, -1), text.toUpperCase()]),
    ),
  ];
}

/** A pattern with something in place of its operators. */
function fill(pattern: string, filling: string): string {
  return pattern.replaceAll('{**}', filling).replaceAll('{*}', filling).replaceAll('*', filling);
}

/** Changes the facts so that the condition holds, where one fact can do that. */
function meet(facts: DrawnFacts, { attribute, values }: Condition, choice: number): void {
  const value = fill(values[choice % values.length] ?? '', 'x');
  const ip = parseIpAddress(value.replace(/\/\d+$/, ''));
  const identity = (text: string): void => {
    if (isIdentity(`spiffe://${text}`)) facts.principal = `spiffe://${text}`;
  };
  const claim = (path: readonly string[], claimed: unknown): void => {
    const [first = '', second] = path;
    facts.claims = { ...facts.claims, [first]: second === undefined ? claimed : { [second]: claimed } };
  };
  switch (attribute.name) {
    case 'source.principal':
      return identity(value);
    case 'source.namespace':
      // Where a rule asks for both, a principal of this namespace may already stand there.
      return facts.principal?.includes(`/ns/${value}/`) === true ? undefined : identity(`td1/ns/${value}/sa/x`);
    case 'source.serviceAccount':
      return identity(`td1/ns/${value.includes('/') ? value.replace('/', '/sa/') : `foo/sa/${value}`}`);
    case 'source.trustDomain':
      return identity(`${value}/ns/a/sa/b`);
    case 'source.ip':
      facts.sourceIp = ip ?? facts.sourceIp;
      return undefined;
    case 'remote.ip':
      facts.remoteIp = ip ?? facts.remoteIp;
      return undefined;
    case 'destination.ip':
      facts.destinationIp = ip ?? facts.destinationIp;
      return undefined;
    case 'destination.port':
      facts.port = Number(value);
      return undefined;
    case 'connection.sni':
      facts.sni = value;
      return undefined;
    case 'request.method':
      facts.method = value;
      return undefined;
    case 'request.host':
      facts.host = choice % 2 === 0 ? value : value.toUpperCase();
      return undefined;
    case 'request.path':
      facts.path = value;
      return undefined;
    case 'request.headers':
      if (!attribute.header.startsWith(':')) {
        facts.headers[attribute.header] = choice % 3 === 0 ? ['y', value] : value;
      }
      return undefined;
    case 'request.auth.principal': {
      const slash = value.lastIndexOf('/');
      claim(['iss'], slash === -1 ? value : value.slice(0, slash));
      return claim(['sub'], slash === -1 ? '' : value.slice(slash + 1));
    }
    case 'request.auth.audiences':
      return claim(['aud'], choice % 2 === 0 ? value : ['x', value]);
    case 'request.auth.presenter':
      return claim(['azp'], value);
    case 'request.auth.claims':
      return claim(attribute.claim, value);
    case 'experimental.envoy.filters':
      return undefined;
  }
}

function isIdentity(text: string): boolean {
  try {
    SpiffeId.parse(text);
    return true;
  } catch (error) {
    assert.ok(error instanceof SealwrightError);
    return false;
  }
}

/** Drawn facts in the engine's words. */
export function engineFacts(drawn: DrawnFacts): { connection: ConnectionFacts; request: RequestFacts } {
  return {
    connection: {
      identity: drawn.principal === undefined ? undefined : SpiffeId.parse(drawn.principal),
      sourceIp: drawn.sourceIp,
      remoteIp: drawn.perRequest ? 'per-request' : drawn.remoteIp,
      destinationIp: drawn.destinationIp,
      destinationPort: drawn.port,
      sni: drawn.sni,
    },
    request: {
      method: drawn.method,
      path: drawn.path,
      host: drawn.host,
      header: (name) => drawn.headers[name],
      jwt: drawn.claims === undefined ? undefined : { claims: drawn.claims },
      remoteIp: drawn.perRequest ? drawn.remoteIp : undefined,
    },
  };
}
