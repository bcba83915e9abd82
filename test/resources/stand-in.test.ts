import { strict as assert } from 'node:assert';
import { authorizationPolicyApplies } from '../../ca/distribution/applicable.ts';
import { envelopeOf } from '../../ca/distribution/envelope.ts';
import { readAuthorizationPolicy } from '../../proxy/agent/read-resource.ts';
import { readKubernetesObject, type KubernetesObject } from '../../src/kubernetes/kubernetes-object.ts';
import { readClusterResource, type ClusterResource } from '../../src/resources/cluster-resource.ts';
import { RESOURCE_KINDS } from '../../src/resources/kind.ts';
import { isResourceName } from '../../src/resources/kubernetes-name.ts';
import { policyValidators } from '../../src/resources/policy-resource.ts';

const DENY_ALL = { action: 'DENY', rules: [{}] };

function objectOf(kind: string, body: object): KubernetesObject {
  const apiVersion = 'security.istio.io/v1';
  const metadata = { name: 'p', namespace: 'shop', uid: 'uid-1', resourceVersion: '1', generation: 1 };
  const object = readKubernetesObject({ apiVersion, kind, metadata, ...body }, { apiVersion, kind });
  return object ?? assert.fail('it is no object');
}

function read(object: KubernetesObject): ClusterResource {
  const kind = RESOURCE_KINDS.find((row) => row.kind === object.kind) ?? assert.fail(object.kind);
  const validators = policyValidators({ rootNamespace: 'root', strayRoot: 'warning' });
  return readClusterResource(object, { kind, validators, before: undefined });
}

/** As a parser of JSON makes it, which knows no depth. */
function nested(depth: number): unknown {
  return JSON.parse(`${'{"a":['.repeat(depth)}1${']}'.repeat(depth)}`);
}

describe('what is read of an object of the API server', () => {
  for (const [what, status] of [
    ['is nested deeply', nested(2_000)],
    ['is nested more deeply than a stack', nested(50_000)],
    ['has more values than a document may', { conditions: Array.from({ length: 300_000 }, () => ({ type: 'x' })) }],
    ['is no object', 7],
  ] as const) {
    it(`is what it says, where its status ${what} (invariant 5)`, () => {
      const spec = { action: 'DENY', rules: [{ from: [{ source: { namespaces: ['other'] } }] }] };
      const { source, resource, issues } = read(objectOf('AuthorizationPolicy', { spec, status }));
      assert.deepEqual([source, resource?.spec, issues], ['object', spec, []]);
    });
  }
});

describe('what stands in for an object that cannot be read', () => {
  const kinds = [
    ['AuthorizationPolicy', 'AuthorizationPolicy', DENY_ALL],
    ['RequestAuthentication', 'AuthorizationPolicy', DENY_ALL],
    ['PeerAuthentication', 'PeerAuthentication', { mtls: { mode: 'STRICT' } }],
  ] as const;
  for (const [kind, standsIn, spec] of kinds) {
    for (const field of ['targetRef', 'targetRefs', 'selector']) {
      it(`is for the whole namespace of a ${kind}, however deeply its ${field} is nested (invariant 5)`, () => {
        for (const depth of [100, 3_000, 50_000]) {
          const deep = nested(depth);
          const values = [deep, [deep], [{ kind: 'Service', name: deep }], { matchLabels: deep }];
          for (const value of values) {
            const { source, resource } = read(objectOf(kind, { spec: { [field]: value, rules: 7 } }));
            assert.deepEqual([source, resource?.kind, resource?.spec], ['stand-in', standsIn, spec]);
          }
        }
      });
    }

    it(`is for the whole namespace of a ${kind} of which even that cannot be read (invariant 5)`, () => {
      const body = {
        get spec(): unknown {
          throw new RangeError('Maximum call stack size exceeded');
        },
      };
      const { source, resource } = read({ ...objectOf(kind, {}), body });
      assert.deepEqual([source, resource?.kind, resource?.spec], ['stand-in', standsIn, spec]);
    });
  }

  it('is attached to what a policy names, and to no more', () => {
    const target = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'g' };
    const specOf = (spec: object): unknown => read(objectOf('AuthorizationPolicy', { spec })).resource?.spec;
    assert.deepEqual(specOf({ targetRef: target, action: 'MAYBE' }), { targetRefs: [target], ...DENY_ALL });
    assert.deepEqual(specOf({ targetRefs: [target, { ...target, sectionName: 's' }] }), DENY_ALL);
    assert.deepEqual(specOf({ targetRefs: [target, 7] }), DENY_ALL);
  });

  it('has a name that nobody can give to a policy of theirs, and that a sidecar takes (invariant 5)', () => {
    const { resource } = read(objectOf('RequestAuthentication', { spec: { jwtRules: [{ issuer: 7 }] } }));
    assert.ok(resource !== undefined);
    assert.equal(isResourceName(resource.name), false);
    const scoped = authorizationPolicyApplies(resource, { namespace: 'shop', labels: {}, rootNamespace: 'root' });
    assert.equal(scoped, true);
    const policy = readAuthorizationPolicy(envelopeOf(resource));
    assert.deepEqual([policy.name, policy.action, policy.rules.length], [resource.name, 'DENY', 1]);
  });
});
