import { strict as assert } from 'node:assert';
import { listenersOf, type Listeners } from '../../../proxy/agent/listeners.ts';
import { knowOwnPlaces } from '../../../proxy/agent/own-places.ts';
import type { PushedSidecar } from '../../../proxy/agent/read-resource.ts';
import { parseSidecar } from '../../../src/resources/sidecar.ts';
import { workload } from '../sidecar-world.ts';

const SETTINGS = {
  interceptionMode: 'NONE',
  inbound: { host: undefined, port: 15_006 },
  outbound: { host: undefined, port: 15_001 },
  status: { host: undefined, port: 15_020 },
  ready: { host: undefined, port: 15_021 },
} as const;

const pushed = (spec: Record<string, unknown>): PushedSidecar => {
  const { value } = parseSidecar({ namespace: 'shop', spec });
  return { namespace: 'shop', sidecar: value ?? assert.fail('it is not read') };
};
const egress = (number: number, bind?: string): Record<string, unknown> => ({
  egress: [
    { port: { number, protocol: 'HTTP', name: 'out' }, hosts: ['./*'], ...(bind === undefined ? {} : { bind }) },
  ],
});
const ingress = (number: number): Record<string, unknown> => ({
  ingress: [{ port: { number, protocol: 'HTTP', name: 'in' }, defaultEndpoint: '127.0.0.1:80' }],
});

/** What comes of a Sidecar for a workload at an address. */
function listeners(
  spec: Record<string, unknown>,
  settings: Partial<Parameters<typeof knowOwnPlaces>[0]> = {},
  { address = '127.0.1.2', onCluster = false } = {},
): Listeners {
  const own = knowOwnPlaces({ ...SETTINGS, ...settings }, onCluster);
  return listenersOf(workload({ name: 'catalog', address }), pushed(spec), { mtlsMode: () => 'STRICT', own });
}

describe('where the sidecar itself listens', () => {
  it('is no place for an egress listener, which would be replaced by the HTTP proxy port without a word', () => {
    assert.throws(
      () => listeners(egress(15_001)),
      /listener out at 127\.0\.1\.2:15001 is where the sidecar itself listens \(proxy\.outbound\)/,
    );
    assert.throws(() => listeners(egress(15_001, '0.0.0.0')), /proxy\.outbound/);
    assert.throws(() => listeners(egress(15_001, '::')), /proxy\.outbound/);
  });

  it('is no place for an ingress listener, which would be told that another sidecar holds it', () => {
    assert.throws(
      () => listeners(ingress(15_001)),
      /listener in at 127\.0\.1\.2:15001 is where the sidecar itself listens \(proxy\.outbound\)/,
    );
    assert.throws(() => listeners(ingress(15_020)), /proxy\.status/);
    assert.throws(() => listeners(ingress(15_021), {}, { address: '10.0.0.1' }), /proxy\.ready/);
    assert.throws(() => listeners(ingress(15_020), {}, { onCluster: true }), /proxy\.status/);
  });

  it('leaves every other place to the configuration', () => {
    assert.equal(listeners(egress(9_080)).outbound.length, 1);
    // The same number at another address is another place.
    assert.equal(listeners(egress(15_001, '127.0.0.9')).outbound.length, 1);
    assert.equal(listeners(egress(15_001), { outbound: { host: '127.0.0.3', port: 15_001 } }).outbound.length, 1);
    assert.equal(listeners(egress(15_001), { outbound: { host: undefined, port: 0 } }).outbound.length, 1);
    // Nothing is brought to a port of its own where nothing is intercepted.
    assert.equal(listeners(ingress(15_006)).inbound.length, 1);
  });

  it('matters of intercepted connections to those listeners alone that are opened', () => {
    const interceptionMode = 'REDIRECT';
    assert.equal(listeners(ingress(15_006), { interceptionMode }).inbound.length, 1);
    assert.equal(listeners(egress(15_001), { interceptionMode }).outbound.length, 1);
    assert.throws(() => listeners(egress(15_001, '127.0.0.1'), { interceptionMode }), /proxy\.outbound/);
    assert.throws(() => listeners(egress(15_006, '127.0.0.1'), { interceptionMode }), /proxy\.inbound/);
  });
});
