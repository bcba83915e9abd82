import { strict as assert } from 'node:assert';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  lstatSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { SealwrightError, type ErrorCode } from '../../src/core/errors.ts';
import { formatIssue } from '../../src/core/issue.ts';
import {
  applyResources,
  deleteResource,
  getResources,
  namesIn,
  type ApplyOptions,
  type EditOutcome,
} from '../../src/resources/folder-edit.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { policy } from './yaml-resource.ts';

const withCode = (code: ErrorCode) => (error: unknown) => error instanceof SealwrightError && error.code === code;

describe('editing a folder of resources', () => {
  let folder: string;
  beforeEach(function () {
    folder = temporaryFolder(this);
  });
  const fileOf = (name: string): string => join(folder, name);
  const textOf = (name: string): string => readFileSync(fileOf(name), 'utf8');
  const apply = async (text: string, options: Partial<ApplyOptions> = {}): Promise<EditOutcome> => {
    return applyResources({ folder, text, source: '-', validators: [], ...options });
  };
  const actions = ({ results, issues }: EditOutcome): string[] => {
    assert.deepEqual(issues.filter(({ severity }) => severity === 'error').map(formatIssue), []);
    return results.map(({ action, name, file }) => `${name} ${action} in ${basename(file)}`);
  };

  it('creates a file for each new resource, with the text as it was written', async () => {
    const text = `# deny the admin pages\n${policy('a')}---\n${policy('b')}`;
    assert.deepEqual(actions(await apply(text)), [
      'a created in shop-authorizationpolicy-a.yaml',
      'b created in shop-authorizationpolicy-b.yaml',
    ]);
    assert.equal(textOf('shop-authorizationpolicy-a.yaml'), `# deny the admin pages\n${policy('a')}`);
    assert.deepEqual(actions(await apply(text)), [
      'a unchanged in shop-authorizationpolicy-a.yaml',
      'b unchanged in shop-authorizationpolicy-b.yaml',
    ]);
    assert.deepEqual(readdirSync(folder).sort(), [
      'shop-authorizationpolicy-a.yaml',
      'shop-authorizationpolicy-b.yaml',
    ]);
  });

  it('replaces a resource where it lives, and leaves every other character of the file', async () => {
    const [head, tail] = [`# all policies\n${policy('a')}`, `---\n# the last\n${policy('c')}`];
    writeFileSync(fileOf('mine.yaml'), `${head}---\n# old\n${policy('b')}${tail}`);
    chmodSync(fileOf('mine.yaml'), 0o640);
    assert.deepEqual(actions(await apply(`# new\n${policy('b', '/new')}`)), ['b configured in mine.yaml']);
    assert.equal(textOf('mine.yaml'), `${head}---\n# new\n${policy('b', '/new')}${tail}`);
    assert.equal(statSync(fileOf('mine.yaml')).mode & 0o777, 0o640);
    assert.deepEqual(readdirSync(folder), ['mine.yaml']);
  });

  it('takes JSON, and a bare document behind a marker', async () => {
    const [resource] = await (async () => {
      await apply(`---\n${policy('a')}`);
      return getResources({ folder, kind: 'ap' });
    })();
    assert.equal(textOf('shop-authorizationpolicy-a.yaml'), policy('a'));
    const json = {
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: 'j', namespace: 'shop' },
      spec: resource?.spec,
    };
    assert.deepEqual(actions(await apply(JSON.stringify(json, null, '\t'))), [
      'j created in shop-authorizationpolicy-j.yaml',
    ]);
    assert.equal((await getResources({ folder, kind: 'ap', name: 'j' }))[0]?.kind, 'AuthorizationPolicy');
  });

  it('writes the namespace that was asked for into a resource that names none, and refuses another', async () => {
    const bare = policy('a').replace('  namespace: shop\n', '# here\n');
    assert.deepEqual(actions(await apply(bare, { namespace: 'team' })), [
      'a created in team-authorizationpolicy-a.yaml',
    ]);
    assert.match(textOf('team-authorizationpolicy-a.yaml'), /namespace: team/);
    assert.match(textOf('team-authorizationpolicy-a.yaml'), /# here/);
    const { results, issues } = await apply(policy('b'), { namespace: 'team' });
    assert.deepEqual(results, []);
    assert.deepEqual(issues.map(formatIssue), [
      '-:5:3: error: metadata.namespace: the resource is in shop, but team was asked for; leave one of the two out',
    ]);
  });

  it('changes nothing at all where one of the resources is bad (invariant 5)', async () => {
    await apply(policy('a'));
    const { results, issues } = await apply(`${policy('a', '/new')}---\n${policy('b').replace('kind: A', 'kind: B')}`);
    assert.deepEqual(results, []);
    assert.deepEqual(
      issues.map(({ code, line }) => [code, line]),
      [['resource_kind', 14]],
    );
    assert.equal(textOf('shop-authorizationpolicy-a.yaml'), policy('a'));
    const judged = await apply(policy('c'), {
      validators: [() => [{ severity: 'error', code: 'no', message: 'no', remedy: 'no', path: 'spec' }]],
    });
    assert.deepEqual([judged.results, judged.issues[0]?.line], [[], 6]);
    assert.deepEqual(readdirSync(folder), ['shop-authorizationpolicy-a.yaml']);
  });

  it('refuses to touch a file that it cannot take apart', async () => {
    const name = 'shop-authorizationpolicy-a.yaml';
    writeFileSync(fileOf(name), 'a: [\n');
    await assert.rejects(apply(policy('a')), withCode('resource_file_refused'));
    assert.equal(textOf(name), 'a: [\n');
    writeFileSync(fileOf(name), `${policy('x')}...\n${policy('a')}`);
    await assert.rejects(apply(policy('a', '/new')), withCode('resource_file_refused'));
    assert.deepEqual(readdirSync(folder), [name]);
  });

  it('rewrites what a link points to, and leaves the link', async () => {
    mkdirSync(fileOf('real'));
    writeFileSync(join(fileOf('real'), 'a.yaml'), policy('a'));
    symlinkSync('real/a.yaml', fileOf('a.yaml'));
    assert.deepEqual(actions(await apply(policy('a', '/new'))), ['a configured in a.yaml']);
    assert.ok(lstatSync(fileOf('a.yaml')).isSymbolicLink());
    assert.equal(readFileSync(join(fileOf('real'), 'a.yaml'), 'utf8'), policy('a', '/new'));
  });

  it('deletes a resource, and its file with the last one', async () => {
    writeFileSync(fileOf('mine.yaml'), `# head\n${policy('a')}---\n# two\n${policy('b')}`);
    const target = { kind: 'AuthorizationPolicy', namespace: 'shop' };
    assert.equal((await deleteResource(folder, { ...target, name: 'a' })).action, 'deleted');
    assert.equal(textOf('mine.yaml'), `---\n# two\n${policy('b')}`);
    await deleteResource(folder, { ...target, name: 'b' });
    assert.equal(existsSync(fileOf('mine.yaml')), false);
    await assert.rejects(deleteResource(folder, { ...target, name: 'b' }), withCode('resource_not_found'));
  });

  it('names what a text would delete', () => {
    const { names, issues } = namesIn(
      `${policy('a')}---\n${policy('b').replace('  namespace: shop\n', '')}`,
      'f.yaml',
      'team',
    );
    assert.deepEqual(
      names.map(({ namespace, name }) => `${namespace}/${name}`),
      ['shop/a', 'team/b'],
    );
    assert.deepEqual(issues, []);
    assert.equal(namesIn('a: [', 'f.yaml').issues[0]?.file, 'f.yaml');
  });

  it('lists resources of a kind, by namespace and name', async () => {
    await apply(`${policy('b')}---\n${policy('a')}---\n${policy('a', '/', 'other')}`);
    const list = async (options: { name?: string; namespace?: string }): Promise<string[]> =>
      (await getResources({ folder, kind: 'authorizationpolicies', ...options })).map(
        ({ namespace, name }) => `${namespace}/${name}`,
      );
    assert.deepEqual(await list({}), ['other/a', 'shop/a', 'shop/b']);
    assert.deepEqual(await list({ namespace: 'shop' }), ['shop/a', 'shop/b']);
    assert.deepEqual(await list({ namespace: 'shop', name: 'b' }), ['shop/b']);
    assert.deepEqual(await getResources({ folder, kind: 'se' }), []);
    await assert.rejects(list({ namespace: 'shop', name: 'z' }), withCode('resource_not_found'));
    await assert.rejects(getResources({ folder, kind: 'authorisationpolicy' }), (error: unknown) => {
      return (
        error instanceof SealwrightError &&
        error.code === 'resource_kind_unknown' &&
        error.fields['near'] === 'AuthorizationPolicy'
      );
    });
    await assert.rejects(getResources({ folder: fileOf('none'), kind: 'ap' }), withCode('resource_folder_unreadable'));
  });
});
