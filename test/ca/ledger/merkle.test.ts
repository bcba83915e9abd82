import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import {
  CompactRange,
  consistencyProof,
  EMPTY_ROOT,
  inclusionProof,
  leafHash,
  nodeHash,
  rootAt,
  verifyConsistency,
  verifyInclusion,
  type NodeSource,
} from '../../../ca/ledger/merkle.ts';

/** The tree that implementations of RFC 6962 share for tests: eight entries and the roots of its prefixes. */
const ENTRIES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

/** RFC 6962 2.1, as it is written there: slow, and with nothing in common with the code under test. */
function naiveRoot(entries: readonly Buffer[]): Buffer {
  const sha256 = (...parts: Buffer[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();
  const [first] = entries;
  if (first === undefined) return sha256();
  if (entries.length === 1) return sha256(Buffer.of(0), first);
  let k = 1;
  while (k * 2 < entries.length) k *= 2;
  return sha256(Buffer.of(1), naiveRoot(entries.slice(0, k)), naiveRoot(entries.slice(k)));
}

function treeOf(entries: readonly Buffer[]): { range: CompactRange; source: NodeSource } {
  const nodes = new Map<string, Buffer>();
  const range = CompactRange.empty();
  for (const [index, entry] of entries.entries()) {
    nodes.set(`0/${index}`, leafHash(entry));
    range.append(leafHash(entry), (level, position, hash) => {
      assert.ok(!nodes.has(`${level}/${position}`), 'a subtree is completed once');
      nodes.set(`${level}/${position}`, hash);
    });
  }
  return { range, source: (level, position) => nodes.get(`${level}/${position}`) ?? assert.fail('asked for too much') };
}

const numbered = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, index) => Buffer.from(`entry ${index}`));

const flip = (bytes: Buffer, bit: number): Buffer => {
  const flipped = Buffer.from(bytes);
  flipped[bit >> 3]! ^= 1 << (bit & 7);
  return flipped;
};

describe('the Merkle tree', () => {
  it('has the roots of the shared RFC 6962 vectors', () => {
    const entries = ENTRIES.map((entry) => Buffer.from(entry, 'hex'));
    assert.equal(EMPTY_ROOT.toString('hex'), ROOTS[0]);
    for (const [size, root] of ROOTS.entries()) {
      const { range, source } = treeOf(entries.slice(0, size));
      assert.equal(range.root().toString('hex'), root, `size ${size}`);
      assert.equal(rootAt(source, size).toString('hex'), root, `size ${size}`);
      assert.equal(CompactRange.load(size, source).root().toString('hex'), root, `size ${size}`);
    }
  });

  it('has the proofs of the shared RFC 6962 vectors', () => {
    const { source } = treeOf(ENTRIES.map((entry) => Buffer.from(entry, 'hex')));
    const hexOf = (proof: Buffer[]): string[] => proof.map((hash) => hash.toString('hex'));
    assert.deepEqual(hexOf(inclusionProof(source, 0, 8)), [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ]);
    assert.deepEqual(hexOf(consistencyProof(source, 6, 8)), [
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ]);
  });

  it('hashes a text as its UTF-8', () => {
    assert.deepEqual(leafHash('ä\0€'), leafHash(Buffer.from('ä\0€')));
  });

  it('proves every leaf of every tree up to 70 leaves, and has the root that the definition gives', () => {
    const entries = numbered(70);
    const { source } = treeOf(entries);
    let proven = 0;
    for (let size = 0; size <= entries.length; size += 1) {
      const root = naiveRoot(entries.slice(0, size));
      assert.deepEqual(rootAt(source, size), root);
      for (let index = 0; index < size; index += 1) {
        const proof = inclusionProof(source, index, size);
        assert.ok(verifyInclusion({ index, size, leaf: leafHash(entries[index]!), proof, root }));
        proven += 1;
      }
    }
    assert.equal(proven, (70 * 71) / 2);
  });

  it('proves every prefix of every tree up to 40 leaves', () => {
    const { source } = treeOf(numbered(40));
    for (let second = 0; second <= 40; second += 1) {
      for (let first = 0; first <= second; first += 1) {
        const proof = consistencyProof(source, first, second);
        const [firstRoot, secondRoot] = [rootAt(source, first), rootAt(source, second)];
        assert.ok(verifyConsistency({ first, second, firstRoot, secondRoot, proof }), `${first} to ${second}`);
      }
    }
  });

  it('goes on from what it was loaded with as if it had never stopped', () => {
    const entries = numbered(100);
    const { source } = treeOf(entries);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 100 }), (stop, more) => {
        const range = CompactRange.load(stop, source);
        const end = Math.min(100, stop + more);
        for (const entry of entries.slice(stop, end)) range.append(leafHash(entry));
        assert.equal(range.size, end);
        assert.deepEqual(range.root(), rootAt(source, end));
      }),
    );
  });

  it('refuses an inclusion proof in which any bit is another, or which is for another place', () => {
    const entries = numbered(130);
    const { source } = treeOf(entries);
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 130 }), fc.nat(), fc.nat(), fc.nat(255), (size, pick, which, bit) => {
        const index = pick % size;
        const [leaf, proof, root] = [
          leafHash(entries[index]!),
          inclusionProof(source, index, size),
          rootAt(source, size),
        ];
        const claim = { index, size, leaf, proof, root };
        assert.ok(verifyInclusion(claim));
        const altered = proof.map((hash, at) => (at === which % proof.length ? flip(hash, bit) : hash));
        assert.ok(!verifyInclusion({ ...claim, proof: altered }));
        assert.ok(!verifyInclusion({ ...claim, leaf: flip(leaf, bit) }));
        assert.ok(!verifyInclusion({ ...claim, root: flip(root, bit) }));
        assert.ok(!verifyInclusion({ ...claim, index: (index + 1) % size }));
        assert.ok(!verifyInclusion({ ...claim, proof: proof.slice(1) }));
        assert.ok(!verifyInclusion({ ...claim, proof: [...proof, root] }));
        assert.ok(!verifyInclusion({ ...claim, index: size }));
      }),
    );
  });

  it('refuses a consistency proof in which any bit is another, or which is for other sizes', () => {
    const { source } = treeOf(numbered(130));
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 130 }), fc.nat(), fc.nat(), fc.nat(255), (second, pick, which, bit) => {
        const first = 1 + (pick % (second - 1));
        const proof = consistencyProof(source, first, second);
        const claim = { first, second, firstRoot: rootAt(source, first), secondRoot: rootAt(source, second), proof };
        assert.ok(verifyConsistency(claim));
        const altered = proof.map((hash, at) => (at === which % proof.length ? flip(hash, bit) : hash));
        assert.ok(!verifyConsistency({ ...claim, proof: altered }));
        assert.ok(!verifyConsistency({ ...claim, firstRoot: flip(claim.firstRoot, bit) }));
        assert.ok(!verifyConsistency({ ...claim, secondRoot: flip(claim.secondRoot, bit) }));
        assert.ok(!verifyConsistency({ ...claim, proof: proof.slice(1) }));
        assert.ok(!verifyConsistency({ ...claim, proof: [...proof, proof[0]!] }));
        assert.ok(!verifyConsistency({ ...claim, first: second, second: first }));
      }),
    );
  });

  it('does not take a node for a leaf', () => {
    const [left, right] = [leafHash('a'), leafHash('b')];
    assert.notDeepEqual(leafHash(Buffer.concat([left, right])), nodeHash(left, right));
  });

  it('counts past 32 bits', () => {
    const size = 2 ** 40 + 2 ** 33 + 5;
    const asked: string[] = [];
    const source: NodeSource = (level, position) => {
      asked.push(`${level}/${position}`);
      return leafHash(`${level}/${position}`);
    };
    const range = CompactRange.load(size, source);
    assert.deepEqual(asked, [`0/${size - 1}`, `2/${(size - 5) / 4}`, '33/128', '40/0']);
    assert.deepEqual(range.root(), rootAt(source, size));
    const index = 2 ** 40 + 3;
    const proof = inclusionProof(source, index, size);
    const leaf = leafHash(`0/${index}`);
    // These hashes belong to no real tree, so only the root that they lead to can be compared with itself.
    assert.ok(proof.length > 33);
    assert.ok(!verifyInclusion({ index, size, leaf, proof, root: range.root() }));
  });
});
