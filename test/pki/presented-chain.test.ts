import { strict as assert } from 'node:assert';
import { decodePem } from '../../src/pki/pem.ts';
import { presentedChain } from '../../src/pki/presented-chain.ts';
import { TestMesh } from '../fakes/mesh-certificates.ts';

const ders = (pem: string): string[] => decodePem(pem, 'CERTIFICATE').map((der) => der.toString('base64'));

describe('the chain that is presented in TLS', () => {
  it('has its issuer behind a leaf alone, whichever of the roots that is', async () => {
    const mesh = await TestMesh.create();
    const namesake = await TestMesh.create();
    const { chainPem } = await mesh.issue('spiffe://cluster.local/ns/shop/sa/catalog');
    const presented = presentedChain(chainPem, `${namesake.rootPem}\n${mesh.rootPem}`);
    assert.deepEqual(ders(presented), [...ders(chainPem), ...ders(mesh.rootPem)]);
    // A certificate that ends without a line break, too.
    assert.deepEqual(ders(presentedChain(chainPem.trimEnd(), mesh.rootPem)), ders(presented));
  });

  it('is as it was where it is complete, or its issuer is not there', async () => {
    const mesh = await TestMesh.create();
    const behind = await (await mesh.intermediate()).issue('spiffe://cluster.local/ns/shop/sa/catalog');
    assert.equal(presentedChain(behind.chainPem, mesh.rootPem), behind.chainPem);
    const alone = await mesh.issue('spiffe://cluster.local/ns/shop/sa/catalog');
    assert.equal(presentedChain(alone.chainPem, (await TestMesh.create()).rootPem), alone.chainPem);
  });
});
