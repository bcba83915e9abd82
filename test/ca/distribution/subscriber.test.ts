import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { readSubscriberName } from '../../../ca/distribution/subscriber.ts';
import { SealwrightError } from '../../../src/core/errors.ts';

const read = (id: string, metadata: Record<string, unknown> = {}) => readSubscriberName({ id, metadata });
const unknown = { code: 'subscriber_unknown' };

describe('the name of a subscriber', () => {
  it('is read from a node id of Istio, also where the name holds dots', () => {
    const shop = { name: 'catalog', namespace: 'shop' };
    assert.deepEqual(read('sidecar~127.0.1.1~catalog.shop~shop.svc.cluster.local'), shop);
    assert.deepEqual(read('ztunnel~10.0.0.1~catalog.shop~shop.svc.example'), shop);
    assert.deepEqual(read('sidecar~~catalog.shop~shop'), shop);
    assert.deepEqual(read('sidecar~::1~catalog.v2.shop~shop.svc.cluster.local'), {
      name: 'catalog.v2',
      namespace: 'shop',
    });
  });

  it('is read from the metadata where the id says nothing, and must agree where both do', () => {
    const metadata = { NAME: 'catalog', NAMESPACE: 'shop' };
    assert.deepEqual(read('anything', metadata), { name: 'catalog', namespace: 'shop' });
    assert.deepEqual(read('sidecar~1~catalog.shop~shop.svc', metadata), { name: 'catalog', namespace: 'shop' });
    assert.throws(() => read('sidecar~1~prices.shop~shop.svc', metadata), unknown);
  });

  for (const id of [
    '',
    'catalog',
    'sidecar~1~catalog~shop.svc',
    'sidecar~1~catalog.shop~other.svc',
    'sidecar~1~catalog.shop',
    'sidecar~1~.shop~shop.svc',
    'sidecar~1~UPPER.shop~shop.svc',
    'sidecar~1~a/b.shop~shop.svc',
    '~1~catalog.shop~shop.svc',
    'sidecar~1~catalog.shop~shop.svc~more',
  ]) {
    it(`is not guessed from ${JSON.stringify(id)}`, () => {
      assert.throws(() => read(id), unknown);
    });
  }

  it('is never anything but two Kubernetes names, whatever is sent', () => {
    let named = 0;
    const part = fc.oneof(fc.string(), fc.constantFrom('sidecar', 'catalog.shop', 'shop', 'shop.svc', 'a.b.shop'));
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
        try {
          const { name, namespace } = read(parts.join('~'));
          named += 1;
          assert.match(`${namespace}/${name}`, /^[a-z0-9-]+\/[a-z0-9.-]+$/);
        } catch (error) {
          assert.ok(error instanceof SealwrightError && error.code === 'subscriber_unknown', String(error));
        }
      }),
      { numRuns: 2_000 },
    );
    assert.ok(named > 0);
  });
});
