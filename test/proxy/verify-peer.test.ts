import { strict as assert } from 'node:assert';
import type { SidecarConfig } from '../../proxy/agent/sidecar-config.ts';
import type { PeerVerdict } from '../../proxy/agent/identity-source.ts';
import { createPeerVerifier, type PeerVerifier } from '../../proxy/verify-peer.ts';
import { decodePem } from '../../src/pki/pem.ts';
import { TestMesh } from '../fakes/mesh-certificates.ts';
import { sidecarConfig, workload } from './sidecar-world.ts';

const CLIENT = 'spiffe://cluster.local/ns/shop/sa/frontend';

const chainOf = (pem: string): Buffer[] => decodePem(pem, 'CERTIFICATE');
const reasonOf = (verdict: PeerVerdict): string => ('reason' in verdict ? verdict.reason : 'accepted');

/** Who a peer is comes only from what is true now, whether or not it was here before. */
describe('a peer that was verified before', () => {
  let mesh: TestMesh;
  let config: SidecarConfig;
  let now: number;
  let peers: PeerVerifier;
  before(async () => {
    mesh = await TestMesh.create();
  });
  beforeEach(() => {
    now = Date.now();
    config = sidecarConfig({ workload: workload({ name: 'catalog' }), rootsPem: mesh.rootPem });
    peers = createPeerVerifier({ current: () => config }, { now: () => now });
  });

  const meetsTwice = async (pem: string): Promise<Buffer[]> => {
    for (let times = 0; times < 2; times += 1) assert.equal(reasonOf(peers.verify(chainOf(pem))), 'accepted');
    return chainOf(pem);
  };

  it('is known again, and at a fraction of the cost', async () => {
    const chain = chainOf((await mesh.issue(CLIENT)).chainPem);
    const cost = (verify: () => void): number => {
      const before = process.cpuUsage();
      for (let times = 0; times < 300; times += 1) verify();
      const { user, system } = process.cpuUsage(before);
      return user + system;
    };
    const anew = cost(() =>
      createPeerVerifier({ current: () => config }, { now: () => now }).verify(chain.map((der) => Buffer.from(der))),
    );
    const again = cost(() => peers.verify(chain.map((der) => Buffer.from(der))));
    const verdict = peers.verify(chain);
    assert.equal('identity' in verdict && verdict.identity, CLIENT);
    assert.ok(again * 3 < anew, `${again} µs against ${anew} µs`);
  });

  it('is refused once its certificate has expired, or before it is valid (invariant 8)', async () => {
    const chain = await meetsTwice((await mesh.issue(CLIENT, { notAfter: now + 60_000 })).chainPem);
    now += 62_000;
    assert.match(reasonOf(peers.verify(chain)), /has expired/);
    now -= 62_000 + 3 * 86_400_000;
    assert.match(reasonOf(peers.verify(chain)), /not yet valid/);
  });

  it('is refused once the bundle holds its root no more (invariant 8)', async () => {
    const chain = await meetsTwice((await mesh.issue(CLIENT)).chainPem);
    const other = await TestMesh.create();
    config = sidecarConfig({ workload: workload({ name: 'catalog' }), rootsPem: other.rootPem });
    assert.match(reasonOf(peers.verify(chain)), /RFC5280/);
  });

  it('is no other that shows its leaf with another chain, or its name with other bytes (invariant 8)', async () => {
    const { chainPem } = await (await mesh.intermediate()).issue(CLIENT);
    const [leaf, intermediate] = await meetsTwice(chainPem);
    assert.ok(leaf !== undefined && intermediate !== undefined);
    assert.match(reasonOf(peers.verify([leaf])), /unknown authority/);
    const altered = Buffer.from(leaf);
    altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1;
    assert.notEqual(reasonOf(peers.verify([altered, intermediate])), 'accepted');
    assert.equal(reasonOf(peers.verify([leaf, intermediate])), 'accepted');
  });

  it('is one of a bounded number', async () => {
    const { VerifiedChains } = await import('../../proxy/verified-chains.ts');
    const chains = new VerifiedChains();
    const bundles = {};
    const chainOfNumber = (number: number): Buffer[] => [Buffer.from(`${number}`)];
    for (let number = 0; number < 10_000; number += 1) {
      const chain = chainOfNumber(number);
      chains.add({ chain, identity: '', notBefore: 0, notAfter: now * 2 }, bundles);
      // Whoever keeps coming is kept.
      if (number % 500 === 0) chains.find(chainOfNumber(0), bundles, now);
    }
    const kept = Array.from({ length: 10_000 }, (_, number) => chains.find(chainOfNumber(number), bundles, now));
    assert.ok(kept[0] !== undefined);
    assert.equal(kept[2], undefined);
    assert.ok(kept.filter((chain) => chain !== undefined).length <= 2_048);
  });
});
