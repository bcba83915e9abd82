import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { SealwrightError } from '../../src/core/errors.ts';
import { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { isTrustDomain, parseTrustDomain } from '../../src/identity/trust-domain.ts';

const reasonFor = (text: string): string => {
  try {
    SpiffeId.parse(text);
  } catch (error) {
    assert.ok(error instanceof SealwrightError && error.code === 'spiffe_id_invalid');
    return String(error.fields['reason']);
  }
  return assert.fail(`${text} was accepted`);
};

describe('a SPIFFE ID', () => {
  it('is read into trust domain, path and Kubernetes names', () => {
    const id = SpiffeId.parse('spiffe://cluster.local/ns/shop/sa/catalog');
    assert.equal(id.trustDomain, 'cluster.local');
    assert.equal(id.path, '/ns/shop/sa/catalog');
    assert.deepEqual(id.workload, { namespace: 'shop', serviceAccount: 'catalog' });
    assert.equal(String(id), 'spiffe://cluster.local/ns/shop/sa/catalog');
    assert.ok(
      id.equals(
        SpiffeId.ofWorkload(parseTrustDomain('cluster.local'), { namespace: 'shop', serviceAccount: 'catalog' }),
      ),
    );
  });

  it('may have any SPIFFE path, and then names no workload', () => {
    for (const text of [
      'spiffe://example.org',
      'spiffe://1.2.3.4/x',
      'spiffe://td/.x/..x/...',
      'spiffe://td/ns/a/sa/b/c',
    ]) {
      assert.equal(SpiffeId.parse(text).workload, undefined, text);
    }
  });

  const refused: [string, RegExp][] = [
    ['', /scheme/],
    ['Spiffe://td/x', /scheme/],
    ['http://td/x', /scheme/],
    ['spiffe:///x', /empty/],
    ['spiffe://TD/x', /trust domain/],
    ['spiffe://user@td/x', /trust domain/],
    ['spiffe://td:8080/x', /trust domain/],
    ['spiffe://[::1]/x', /trust domain/],
    ['spiffe://td%2e/x', /trust domain/],
    ['spiffe://td/', /ends with/],
    ['spiffe://td/a/', /ends with/],
    ['spiffe://td//a', /empty segment/],
    ['spiffe://td/./a', /dot segment/],
    ['spiffe://td/a/..', /dot segment/],
    ['spiffe://td/a%2fb', /segment/],
    ['spiffe://td/a?b', /segment/],
    ['spiffe://td/a#b', /segment/],
    ['spiffe://td/a\u0000', /segment/],
    ['spiffe://td/ä', /segment/],
    ['spiffe://td/a\n', /segment/],
    [`spiffe://td/${'a'.repeat(2048)}`, /longer/],
    [`spiffe://${'a'.repeat(256)}/x`, /trust domain/],
  ];
  for (const [text, reason] of refused) {
    it(`is refused as ${JSON.stringify(text.slice(0, 40))}`, () => assert.match(reasonFor(text), reason));
  }

  it('is never made of a name that carries a separator', () => {
    const trustDomain = parseTrustDomain('td');
    for (const bad of ['a/b', '..', 'A', '', 'a/sa/b', 'x'.repeat(254), '-a', 'a-']) {
      assert.throws(
        () => SpiffeId.ofWorkload(trustDomain, { namespace: bad, serviceAccount: 'x' }),
        SealwrightError,
        bad,
      );
      assert.throws(
        () => SpiffeId.ofWorkload(trustDomain, { namespace: 'x', serviceAccount: bad }),
        SealwrightError,
        bad,
      );
    }
  });

  it('is written as it was read, whatever the text', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.string({ unit: fc.constantFrom('a', '/', '.', '%', ':', '@', '?', '#', 'Z', '-', '\0'), maxLength: 30 }),
    );
    fc.assert(
      fc.property(texts, (rest) => {
        const text = `spiffe://${rest}`;
        let id: SpiffeId;
        try {
          id = SpiffeId.parse(text);
        } catch (error) {
          assert.ok(error instanceof SealwrightError);
          return;
        }
        assert.equal(String(id), text);
        assert.ok(isTrustDomain(id.trustDomain));
      }),
      { numRuns: 2_000 },
    );
  });
});
