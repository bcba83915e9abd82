import { strict as assert } from 'node:assert';
import { formatIssue } from '../../src/core/issue.ts';
import { findKind, WRITTEN_KINDS } from '../../src/resources/kind.ts';
import { readResources } from '../../src/resources/read-file.ts';
import { findings, policy, read, readOne } from './yaml-resource.ts';

describe('a resource', () => {
  it('is read with its names, its content and the place of each field', () => {
    const resource = readOne(`# why\n${policy('deny-admin')}`);
    assert.equal(resource.apiVersion, 'security.istio.io/v1');
    assert.equal(`${resource.kind} ${resource.namespace}/${resource.name}`, 'AuthorizationPolicy shop/deny-admin');
    assert.deepEqual(resource.spec, { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/admin'] } }] }] });
    assert.equal(resource.creationTimestamp, 1_000);
    assert.deepEqual(resource.origin.locate('spec.rules[0].to[0].operation.paths[0]'), { line: 12, column: 21 });
    assert.equal(resource.origin.file, 'r.yaml');
    assert.ok(Object.isFrozen(resource) && Object.isFrozen(resource.spec['rules']));
  });

  it('is kept under one version, and in the namespace default, where it says otherwise or nothing', () => {
    const text =
      'apiVersion: networking.istio.io/v1alpha3\nkind: WorkloadEntry\nmetadata: {name: a}\nspec: {address: 1.2.3.4}\n';
    const resource = readOne(text);
    assert.equal(resource.apiVersion, 'networking.istio.io/v1');
    assert.equal(resource.namespace, 'default');
  });

  it('has a version that depends on what it says and not on how it is written', () => {
    const { version } = readOne(policy('a'));
    const json = JSON.stringify({
      kind: 'AuthorizationPolicy',
      apiVersion: 'security.istio.io/v1beta1',
      spec: readOne(policy('a')).spec,
      metadata: { namespace: 'shop', name: 'a' },
    });
    assert.equal(readOne(json).version, version);
    assert.equal(readOne(`# comment\n${policy('a')}`).version, version);
    assert.notEqual(readOne(policy('a', '/other')).version, version);
    assert.notEqual(readOne(policy('b')).version, version);
  });

  it('is taken as kubectl prints it', () => {
    const text = policy('a').replace(
      '  name: a',
      '  name: a\n  uid: u-1\n  creationTimestamp: "2026-01-02T03:04:05Z"\n  resourceVersion: "7"\n  generation: 2',
    );
    const resource = readOne(`${text}status: {}\n`);
    assert.equal(resource.creationTimestamp, Date.parse('2026-01-02T03:04:05Z'));
    assert.equal(resource.uid, 'u-1');
    assert.equal(readOne(text.replace('"2026-01-02T03:04:05Z"', 'null')).creationTimestamp, 1_000);
  });

  it('is refused with field, place and remedy where its envelope is wrong', () => {
    const wrong = policy('Not_a_name')
      .replace('spec:', 'specs:')
      .replace('namespace: shop', 'namespace: a.b\n  lables: {}');
    assert.deepEqual(read(wrong).issues.map(formatIssue), [
      'r.yaml:7:1: error: specs: unknown field; did you mean spec?',
      'r.yaml:6:3: error: metadata.lables: unknown field; did you mean labels?',
    ]);
    assert.deepEqual(findings(policy('Not_a_name', '/', 'a.b')), [
      'error name_invalid metadata.name',
      'error name_invalid metadata.namespace',
    ]);
    assert.deepEqual(findings(policy('a').replace('name: a', 'name: a\n  labels: {"a b": x, ok: "no good"}')), [
      'error label_invalid metadata.labels["a b"]',
      'error label_invalid metadata.labels["ok"]',
    ]);
    assert.deepEqual(findings('[1, 2]'), ['error resource_shape ']);
    assert.deepEqual(findings('kind: Sidecar'), ['error field_required apiVersion']);
    assert.deepEqual(findings(policy('a').replace('  name: a\n', '')), ['error field_required metadata.name']);
    assert.deepEqual(findings(policy('a').replace('name: a', 'name: a\n  creationTimestamp: yesterday')), [
      'error field_value metadata.creationTimestamp',
    ]);
  });

  it('of an unknown kind or version is refused where ignoring it could leave a door open (invariant 5)', () => {
    const as = (apiVersion: string, kind: string): string =>
      policy('a').replace('security.istio.io/v1', apiVersion).replace('AuthorizationPolicy', kind);
    assert.match(
      read(as('security.istio.io/v1', 'AuthorisationPolicy')).issues.map(formatIssue).join(),
      /r.yaml:2:1: error: .* did you mean AuthorizationPolicy\?/,
    );
    assert.deepEqual(findings(as('security.istio.io/v2', 'AuthorizationPolicy')), [
      'error resource_version apiVersion',
    ]);
    assert.deepEqual(findings(as('security.istio.io.v1', 'AuthorizationPolicy')), [
      'error resource_version apiVersion',
    ]);
    assert.deepEqual(findings(as('networking.istio.io/v1', 'VirtualService')), ['error resource_kind kind']);
    assert.deepEqual(findings(as('apps/v1', 'Deployment')), ['warning resource_ignored kind']);
    assert.deepEqual(findings(as('serving.knative.dev/v1', 'Service')), ['warning resource_ignored kind']);
    assert.deepEqual(read(as('apps/v1', 'Deployment')).resources, []);
  });

  it('that stands twice in one file is refused', () => {
    assert.deepEqual(findings(`${policy('a')}---\n${policy('a', '/b')}`), ['error resource_duplicate metadata.name']);
    assert.deepEqual(findings(`${policy('a')}---\n${policy('a', '/b', 'other')}`), []);
  });

  it('whose check throws is refused, and says so', () => {
    const validators = [
      (): never => {
        throw new TypeError('bug');
      },
    ];
    const { resources, issues } = readResources(policy('a'), { file: 'r.yaml', validators, createdAt: () => 0 });
    assert.deepEqual(resources, []);
    assert.equal(issues[0]?.code, 'resource_check_failed');
  });
});

describe('a kind', () => {
  it('is found by each of the words that kubectl takes', () => {
    for (const word of [
      'AuthorizationPolicy',
      'authorizationpolicies',
      'ap',
      'authorizationpolicies.security.istio.io',
    ]) {
      assert.equal(findKind(word)?.kind, 'AuthorizationPolicy', word);
    }
    assert.equal(findKind('policy'), undefined);
    const words = WRITTEN_KINDS.flatMap(({ kind, plural, short }) => [kind.toLowerCase(), plural, ...short]);
    assert.equal(new Set(words).size, words.length);
  });
});
