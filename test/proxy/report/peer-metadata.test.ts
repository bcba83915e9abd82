import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { createWorkloadFinder, nameInboundPeer } from '../../../proxy/report/inbound-peer.ts';
import { metadataLines, readMetadata } from '../../../proxy/report/peer-metadata.ts';
import { UNKNOWN_WORKLOAD, reportedWorkload } from '../../../proxy/report/reported-workload.ts';
import type { ConnectionFacts } from '../../../proxy/inbound/connection-facts.ts';
import { encodeStruct } from '../../../src/wire/struct.ts';
import { TestBook, workload } from '../sidecar-world.ts';

const FRONT = workload({ name: 'front', address: '10.0.0.9', labels: { app: 'front', version: 'v2', secret: 'x' } });
const valueOf = (lines: Buffer): string =>
  /^x-envoy-peer-metadata: (\S+)\r\n/.exec(lines.toString('latin1'))?.[1] ?? '';

function facts(fields: Partial<ConnectionFacts>): ConnectionFacts {
  return {
    peer: undefined,
    peerCertificate: undefined,
    self: undefined,
    serverName: '',
    alpn: '',
    remoteAddress: '10.0.0.9',
    remotePort: 1,
    destinationAddress: '10.0.0.1',
    destinationPort: 8080,
    ...fields,
  };
}

describe('what peers say of themselves', () => {
  it('is read as it was written, the same bytes each time', () => {
    const lines = metadataLines(FRONT);
    assert.deepEqual(metadataLines(FRONT), lines);
    assert.deepEqual(readMetadata(valueOf(lines)), reportedWorkload(FRONT));
    assert.match(
      lines.toString('latin1'),
      /\r\nx-envoy-peer-metadata-id: sidecar~10\.0\.0\.9~front\.shop~shop\.svc\.cluster\.local\r\n$/,
    );
  });

  it('tells no label but those that metrics need', () => {
    assert.doesNotMatch(Buffer.from(valueOf(metadataLines(FRONT)), 'base64').toString('latin1'), /secret/);
  });

  it('is nothing where it cannot be read, is too long, or names too much', () => {
    assert.equal(readMetadata('//////'), undefined);
    assert.equal(readMetadata('A'.repeat(5_000)), undefined);
    const long = encodeStruct({ WORKLOAD_NAME: 'x'.repeat(300), NAMESPACE: 'shop' }).toString('base64');
    assert.equal(readMetadata(long)?.workload, 'unknown');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const read = readMetadata(Buffer.from(bytes).toString('base64'));
        for (const value of Object.values(read ?? {})) assert.equal(typeof value, 'string');
      }),
    );
  });

  describe('in the names of metrics', () => {
    const peer = 'spiffe://cluster.local/ns/shop/sa/front';
    const metadata = valueOf(metadataLines(FRONT));
    const nobody = (): undefined => undefined;

    it('counts only from an authenticated peer, of its own namespace (invariant 8)', () => {
      assert.equal(nameInboundPeer(facts({ peer }), { workloadAt: nobody, metadata }).workload, 'front');
      assert.equal(nameInboundPeer(facts({}), { workloadAt: nobody, metadata }), UNKNOWN_WORKLOAD);
      const other = 'spiffe://cluster.local/ns/other/sa/front';
      assert.deepEqual(nameInboundPeer(facts({ peer: other }), { workloadAt: nobody, metadata }), {
        ...UNKNOWN_WORKLOAD,
        namespace: 'other',
      });
    });

    it('gives way to what the control stream knows of the address, where the certificate agrees', () => {
      const lying = valueOf(metadataLines(workload({ name: 'else' })));
      const at = () => FRONT;
      assert.equal(nameInboundPeer(facts({ peer }), { workloadAt: at, metadata: lying }).workload, 'front');
      const another = 'spiffe://cluster.local/ns/shop/sa/another';
      assert.equal(
        nameInboundPeer(facts({ peer: another }), { workloadAt: at, metadata: undefined }).workload,
        'unknown',
      );
    });
  });

  describe('looked up by address', () => {
    it('asks once for what is not known, and never for strangers', async () => {
      const book = new TestBook();
      book.peeking = false;
      const find = createWorkloadFinder(book);
      assert.equal(find('::ffff:10.0.0.9', false), undefined);
      assert.deepEqual(book.asked, []);
      find('::ffff:10.0.0.9', true);
      find('::ffff:10.0.0.9', true);
      assert.deepEqual(book.asked, ['10.0.0.9']);
      await book.resolve({ host: '10.0.0.9' });
      book.peeking = true;
      book.addWorkload(FRONT);
      assert.equal(find('10.0.0.9', true), FRONT);
    });

    it('asks for a bounded number at a time', () => {
      const book = new TestBook();
      book.peeking = false;
      const find = createWorkloadFinder(book);
      for (let index = 0; index < 200; index += 1) find(`10.0.1.${index}`, true);
      assert.equal(book.asked.length, 16);
    });
  });
});
