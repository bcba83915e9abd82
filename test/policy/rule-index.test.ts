import { strict as assert } from 'node:assert';
import { parseTrustDomain } from '../../src/identity/trust-domain.ts';
import type { AuthorizationPolicy } from '../../src/policy/authorization-policy.ts';
import { compilePolicies, recompileInSlices, type CompiledPolicies } from '../../src/policy/compile-policies.ts';
import { atOnce } from '../../src/policy/slices.ts';
import { policy } from './documents.ts';
import { connection, request } from './facts.ts';

const FRONT = 'cluster.local/ns/shop/sa/front';
const FEDERATED = 'other.example/x/ns/shop/sa/front';

function compile(policies: AuthorizationPolicy[], aliases: string[] = []): CompiledPolicies {
  return compilePolicies({
    policies,
    trustDomains: { trustDomain: parseTrustDomain('cluster.local'), aliases },
    workload: { namespace: 'shop', labels: {} },
    rootNamespace: 'root',
    protocol: 'http',
  });
}

interface Ask {
  readonly path?: string;
  readonly host?: string;
  readonly method?: string;
}

/** The name of the policy that decided, or what else did. */
function decider(compiled: CompiledPolicies, principal: string | undefined, ask: Ask = {}): string {
  const facts = connection(principal === undefined ? {} : { principal });
  const { decidedBy } = compiled.forConnection(facts).decide(request(ask));
  return typeof decidedBy === 'string' ? decidedBy : decidedBy.policy.name;
}

/** Every order of a list. */
function permutations<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((first, at) => permutations(items.toSpliced(at, 1)).map((rest) => [first, ...rest]));
}

/** Rules that all match one call, and each of which is found by something else. */
const BY_CALLER: Readonly<Record<string, object>> = {
  principal: { principals: [FRONT] },
  serviceAccount: { serviceAccounts: ['shop/front'] },
  namespace: { namespaces: ['shop'] },
  anybody: { principals: ['*/front'] },
};
const BY_CALL: Readonly<Record<string, object>> = {
  path: { paths: ['/a/b'] },
  beginning: { paths: ['/a*'] },
  'longer beginning': { paths: ['/a/*'] },
  template: { paths: ['/{*}/b'] },
  host: { hosts: ['Shop.example'] },
  'no text': { paths: ['*/b'] },
};
const CALL = { path: '/a/b', host: 'shop.EXAMPLE' };

const GET = { operation: { methods: ['GET'] } };

const rule = (source: object, operation: object): object => ({ from: [{ source }], to: [{ operation }] });

describe('rules that are found by caller, path and host', () => {
  for (const [who, source] of Object.entries(BY_CALLER)) {
    for (const [what, operation] of Object.entries(BY_CALL)) {
      it(`are all found where one is by ${who} and ${what}`, () => {
        // Beside it one of each kind that is found too, and does not match.
        const others = Object.values(BY_CALLER).flatMap((caller, at) =>
          Object.values(BY_CALL).map((call, index) =>
            policy(
              { action: 'DENY', rules: [rule(caller, { ...call, methods: ['PUT'] })] },
              { name: `a${at}-${index}` },
            ),
          ),
        );
        const compiled = compile([
          ...others,
          policy({ action: 'DENY', rules: [rule(source, operation)] }, { name: 'z' }),
        ]);
        assert.equal(decider(compiled, FRONT, CALL), 'z');
        assert.equal(decider(compiled, FRONT, { path: '/x', host: 'other' }), 'no-policy');
        assert.equal(decider(compiled, 'cluster.local/ns/x/sa/y', CALL), 'no-policy');
        assert.equal(decider(compiled, undefined, CALL), 'no-policy');
      });
    }
  }

  it('decide in the order of their names, wherever each is found', () => {
    const kinds = [
      rule({ principals: [FRONT] }, { paths: ['/a/b'] }),
      rule({ namespaces: ['shop'] }, { paths: ['/a*'] }),
      rule({ principals: ['*'] }, { hosts: ['shop.example'] }),
      // Found by nothing of a request: asked one after the other, or settled by the connection.
      rule({ serviceAccounts: ['shop/front'] }, { methods: ['GET'] }),
      rule({ principals: ['*front'] }, { ports: ['8080'] }),
    ];
    for (const order of permutations(kinds)) {
      const policies = order.map((each, at) => policy({ action: 'DENY', rules: [each] }, { name: `p${at}` }));
      assert.equal(decider(compile(policies), FRONT, CALL), 'p0');
      assert.equal(decider(compile(policies.toReversed()), FRONT, CALL), 'p0');
      // And where there is a second one in each place.
      const seconds = order.map((each, at) => policy({ action: 'DENY', rules: [each] }, { name: `q${at}` }));
      assert.equal(decider(compile([...policies, ...seconds]), FRONT, CALL), 'p0');
    }
  });

  it('decide in the order of their names where each has to be asked, whoever it is for', () => {
    const kinds = [{ principals: [FRONT] }, { serviceAccounts: ['shop/front'] }, { namespaces: ['shop'] }, {}].map(
      (source) => (Object.keys(source).length === 0 ? { to: [GET] } : { from: [{ source }], to: [GET] }),
    );
    for (const order of permutations(kinds)) {
      const policies = order.map((each, at) => policy({ action: 'DENY', rules: [each] }, { name: `p${at}` }));
      assert.equal(decider(compile(policies), FRONT, CALL), 'p0');
    }
  });

  it('decide in the order of their names where several are found in one place', () => {
    for (const kind of [{ paths: ['/a/b'] }, { paths: ['/a*'] }, { hosts: ['shop.example'] }, { methods: ['GET'] }]) {
      const names = Array.from({ length: 600 }, (_, index) => `p${String(index).padStart(3, '0')}`);
      const shuffled = names.map((_, index) => names[(index * 37) % names.length] ?? '');
      // The first ten do not match, though they are found.
      const made = new Map(
        names.map((name) => {
          const operation = name < 'p010' ? { ...kind, ports: ['1'] } : kind;
          return [name, policy({ action: 'DENY', rules: [{ to: [{ operation }] }] }, { name })];
        }),
      );
      for (const order of [names, names.toReversed(), shuffled]) {
        const policies = order.flatMap((name) => made.get(name) ?? []);
        assert.equal(decider(compile(policies), FRONT, CALL), 'p010');
      }
    }
  });

  it('are found one by one in one policy under each name of a caller', () => {
    const rules = ['/a', '/b', '/c'].map((path) => rule({ principals: [FRONT] }, { paths: [path] }));
    const compiled = compile([policy({ rules }, { name: 'p' })], ['old.example', 'older.example']);
    for (const trustDomain of ['cluster.local', 'old.example', 'older.example']) {
      for (const path of ['/a', '/b', '/c']) {
        assert.equal(decider(compiled, `${trustDomain}/ns/shop/sa/front`, { path }), 'p', `${trustDomain} ${path}`);
      }
    }
  });

  it('are found for a service account of the own namespace, of one policy after the other', () => {
    const rules = [{ from: [{ source: { serviceAccounts: ['front'] } }] }];
    const compiled = compile([policy({ rules }, { namespace: 'root' }), policy({ rules }, { name: 'q' })]);
    assert.equal(decider(compiled, FRONT), 'q');
    assert.equal(decider(compiled, 'cluster.local/ns/root/sa/front'), 'p');
  });

  it('are found for a federated identity, whose path says more', () => {
    for (const source of [{ namespaces: ['shop'] }, { serviceAccounts: ['shop/front'] }, { principals: [FEDERATED] }]) {
      assert.equal(decider(compile([policy({ rules: [{ from: [{ source }] }] })]), FEDERATED), 'p');
    }
  });

  it('are found where one of several sources, operations or values is found by nothing', () => {
    const open = { principals: ['*front'] };
    const closed = { principals: ['cluster.local/ns/x/sa/y'] };
    const sources = (...each: object[]): object => ({ from: each.map((source) => ({ source })) });
    const operations = (...each: object[]): object => ({ to: each.map((operation) => ({ operation })) });
    const rules = [
      sources(closed, open),
      sources({ principals: ['cluster.local/ns/x/sa/y', '*front'] }),
      sources({ namespaces: ['x', 's*'] }),
      sources({ notPrincipals: ['cluster.local/ns/x/sa/y'] }),
      sources({ notNamespaces: ['x'] }),
      operations({ paths: ['/x'] }, { methods: ['GET'] }),
      operations({ paths: ['/x', '*b'] }),
      operations({ hosts: ['x', '*example'] }),
      operations({ hosts: ['x'] }, { methods: ['GET'] }),
      operations({ notPaths: ['/x'] }),
      operations({ notHosts: ['x'] }),
      operations({ hosts: ['shop.example'], notPaths: ['/x'] }, { hosts: ['x'], paths: ['/x'] }),
    ];
    for (const each of rules) {
      assert.equal(decider(compile([policy({ rules: [each] })]), FRONT, CALL), 'p', JSON.stringify(each));
    }
  });

  it('are found by beginnings of every length, up to the whole path', () => {
    const path = '/a/b/c/d';
    for (let length = 1; length <= path.length; length += 1) {
      const paths = [`${path.slice(0, length)}*`];
      const beside = ['/', '/a/', '/a/b/c/d/e'].map((text, at) =>
        policy({ rules: [{ to: [{ operation: { paths: [`${text}*`], methods: ['PUT'] } }] }] }, { name: `a${at}` }),
      );
      const compiled = compile([...beside, policy({ rules: [{ to: [{ operation: { paths } }] }] })]);
      assert.equal(decider(compiled, FRONT, { path }), 'p', paths[0]);
    }
  });

  it('stay what they were in a set that a change was made of, whatever changes after it', () => {
    const kinds = [
      rule({ principals: [FRONT] }, { paths: ['/a/b'] }),
      rule({ principals: [FRONT] }, { paths: ['/a*'] }),
      rule({ principals: [FRONT] }, { methods: ['GET'] }),
      rule({ namespaces: ['shop'] }, { hosts: ['shop.example'] }),
    ];
    for (const kind of kinds) {
      const make = (name: string): AuthorizationPolicy => policy({ action: 'DENY', rules: [kind] }, { name });
      const [a, b, c, d] = [make('a'), make('b'), make('c'), make('d')];
      const change = (
        before: CompiledPolicies,
        from: AuthorizationPolicy[],
        to: AuthorizationPolicy[],
      ): CompiledPolicies => {
        const removed = from.filter((each) => !to.includes(each));
        const added = to.filter((each) => !from.includes(each));
        return atOnce(recompileInSlices(before, { removed, added }, to));
      };
      const one = compile([b, c]);
      const two = change(one, [b, c], [a, b, c]);
      const three = change(two, [a, b, c], [c, d]);
      const none = change(three, [c, d], []);
      const again = change(none, [], [d]);
      const deciders = [one, two, three, none, again].map((each) => decider(each, FRONT, CALL));
      assert.deepEqual(deciders, ['b', 'a', 'c', 'no-policy', 'd'], JSON.stringify(kind));
      // Of one set several changes may be made: one that is given up must leave it as it was.
      assert.equal(decider(change(one, [b, c], [b]), FRONT, CALL), 'b');
      assert.equal(decider(change(one, [b, c], [c]), FRONT, CALL), 'c');
      assert.equal(decider(change(one, [b, c], []), FRONT, CALL), 'no-policy');
      assert.equal(decider(change(one, [b, c], [a, b, c]), FRONT, CALL), 'a');
      assert.equal(decider(one, FRONT, CALL), 'b');
    }
  });
});
