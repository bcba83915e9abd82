import { strict as assert } from 'node:assert';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodePem } from '../../src/pki/pem.ts';
import { CaRoots } from '../../src/workload/ca-roots.ts';
import { makeCertificate } from '../fakes/certificates.ts';
import { temporaryFolder } from '../fakes/folder.ts';
import { rejection } from '../fakes/rejection.ts';

describe('the roots that the CA is verified with', () => {
  const pems: string[] = [];
  before(async () => {
    for (const name of ['first', 'second', 'third']) {
      const { certificate } = await makeCertificate({ subject: `O=${name}` });
      pems.push(encodePem('CERTIFICATE', certificate));
    }
  });
  const pem = (index: number): string => pems[index] ?? assert.fail();
  let folder: string;
  let file: string;
  beforeEach(function () {
    folder = temporaryFolder(this);
    file = join(folder, 'given.pem');
  });

  it('are those of the file and those that were pushed, each once', async () => {
    writeFileSync(file, pem(0));
    const roots = await CaRoots.open({ file });
    assert.equal(await roots.read(), pem(0));
    await roots.push(pem(0) + pem(1));
    assert.equal(await roots.read(), pem(0) + pem(1));
    await roots.push(pem(2));
    assert.equal(await roots.read(), pem(0) + pem(2));
  });

  it('are kept for a restart, for the owner alone', async () => {
    writeFileSync(file, pem(0));
    await (await CaRoots.open({ file, folder })).push(pem(1));
    assert.equal(statSync(join(folder, 'root-cert.pem')).mode & 0o777, 0o600);
    assert.equal(await (await CaRoots.open({ file, folder })).read(), pem(0) + pem(1));
  });

  it('lose what was pushed when the file changes, also while nobody looked', async () => {
    writeFileSync(file, pem(0));
    const roots = await CaRoots.open({ file, folder });
    await roots.push(pem(1));
    writeFileSync(file, pem(2));
    assert.equal(await roots.read(), pem(2));
    assert.equal(await (await CaRoots.open({ file, folder })).read(), pem(2));
  });

  it('wait for a file that is not there yet, and go on with what was pushed while it is gone', async () => {
    const roots = await CaRoots.open({ file, folder });
    await rejection(roots.read(), 'ca_root_unreadable');
    writeFileSync(file, pem(0));
    assert.equal(await roots.read(), pem(0));
    await roots.push(pem(1));
    writeFileSync(file, '-----BEGIN CERTIFICATE-----\nhalf');
    assert.equal(await roots.read(), pem(1));
  });

  it('write nothing where nothing changed', async () => {
    writeFileSync(file, pem(0));
    const roots = await CaRoots.open({ file, folder });
    await roots.push(pem(1));
    writeFileSync(join(folder, 'root-cert.pem'), 'untouched');
    await roots.push(pem(1));
    assert.equal(readFileSync(join(folder, 'root-cert.pem'), 'utf8'), 'untouched');
  });
});
