import { strict as assert } from 'node:assert';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseYaml } from '../../src/config/yaml-document.ts';
import { renderRbac, renderRights } from '../../tools/rbac/render-rbac.ts';
import {
  AUTHENTICATION_RIGHTS,
  CLUSTER_RIGHTS,
  ROOT_NAMESPACE,
  ROOT_RIGHTS,
  SECRET_RIGHTS,
} from '../../tools/rbac/rights.ts';
import { PROJECT } from '../structure/sources.ts';

describe('the rights of the CA', () => {
  it('are the files and the page that the tool writes', () => {
    const folder = join(PROJECT, 'manifests/rbac');
    const rendered = renderRbac();
    // That one is for people, not for the CA.
    assert.deepEqual(readdirSync(folder).toSorted(), [...rendered.keys(), 'operators.yaml'].toSorted());
    for (const [name, text] of rendered) {
      assert.equal(readFileSync(join(folder, name), 'utf8'), text, `${name}: run tools/write-rbac.ts`);
    }
    const page = readFileSync(join(PROJECT, 'docs/security.md'), 'utf8');
    assert.ok(page.includes(renderRights()), 'docs/security.md: run tools/write-rbac.ts');
  });

  it('come after the namespace that they are in, as kubectl takes the files of a folder', () => {
    const files = readdirSync(join(PROJECT, 'manifests/rbac')).toSorted();
    const text = readFileSync(join(PROJECT, 'manifests/rbac', files[0] ?? ''), 'utf8');
    const [first = assert.fail()] = parseYaml(text).documents;
    assert.deepEqual(first.value, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: ROOT_NAMESPACE } });
  });

  it('hold those of a CA that does no more than ask about its callers', () => {
    const file = 'ca-authentication.yaml';
    const { documents } = parseYaml(renderRbac().get(file) ?? assert.fail(), { file });
    assert.deepEqual(
      documents.map(({ value }) => value),
      [
        {
          apiVersion: 'rbac.authorization.k8s.io/v1',
          kind: 'ClusterRole',
          metadata: { name: 'sealwright-ca-authentication' },
          rules: [
            { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
            { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
            { apiGroups: [''], resources: ['pods', 'serviceaccounts'], verbs: ['get'] },
          ],
        },
      ],
    );
    for (const right of AUTHENTICATION_RIGHTS) assert.ok(CLUSTER_RIGHTS.includes(right), right.resources.join());
  });

  it('are of the account that is bound, and of nobody else', () => {
    const documents = [...renderRbac()].flatMap(([file, text]) =>
      parseYaml(text, { file }).documents.map(({ value }) => value as Record<string, unknown>),
    );
    const kinds = documents.map(({ kind }) => kind);
    assert.deepEqual(kinds, [
      'Namespace',
      'ServiceAccount',
      'ClusterRole',
      'ClusterRoleBinding',
      'Role',
      'RoleBinding',
      'ClusterRole',
      'Role',
      'RoleBinding',
    ]);
    for (const { kind, subjects } of documents) {
      if (!String(kind).endsWith('Binding')) continue;
      assert.deepEqual(subjects, [{ kind: 'ServiceAccount', name: 'sealwright-ca', namespace: 'sealwright-system' }]);
    }
  });

  it('name every verb and resource, and give no more than reading but where it says why', () => {
    for (const { group, resources, verbs, names, why } of [...CLUSTER_RIGHTS, ...ROOT_RIGHTS, ...SECRET_RIGHTS]) {
      const about = `${group} ${resources.join()} ${verbs.join()}`;
      assert.ok(why.length > 10, about);
      for (const word of [group, ...resources, ...verbs, ...(names ?? [])]) assert.ok(!word.includes('*'), about);
      for (const verb of ['delete', 'deletecollection', 'impersonate', 'escalate', 'bind', 'approve', 'sign'])
        assert.ok(!verbs.includes(verb), about);
      // What exists is changed only where it is named, or where it is no more than a status or an event.
      const changes = verbs.includes('update') || verbs.includes('patch');
      const harmless = resources.every((resource) => resource.endsWith('/status') || resource === 'events');
      assert.ok(!changes || names !== undefined || harmless, about);
      if (resources.includes('secrets') && !verbs.includes('create')) assert.ok(names !== undefined, about);
    }
    const everywhere = CLUSTER_RIGHTS.flatMap(({ resources }) => resources);
    assert.ok(!everywhere.includes('secrets'));
  });
});
