import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { normalizeHost } from '../../../proxy/agent/destination-name.ts';
import { readSocketAddress, writeSocketAddress } from '../../../proxy/intercept/socket-address.ts';

describe('a socket address of the kernel', () => {
  const anywhere = fc.record({
    address: fc.oneof(fc.ipV4(), fc.ipV6()),
    port: fc.integer({ min: 0, max: 65_535 }),
    littleEndian: fc.boolean(),
  });

  it('is read as it was written, in the one spelling by which addresses are looked for', () => {
    fc.assert(
      fc.property(anywhere, ({ address, port, littleEndian }) => {
        const bytes = writeSocketAddress({ address, port }, { littleEndian });
        assert.deepEqual(readSocketAddress(bytes, { littleEndian }), { address: normalizeHost(address), port });
      }),
      { numRuns: 2_000 },
    );
  });

  it('is what ip(7) and ipv6(7) say', () => {
    const v4 = Buffer.from('02001f900a4d000c0000000000000000', 'hex');
    assert.deepEqual(readSocketAddress(v4, { littleEndian: true }), { address: '10.77.0.12', port: 8080 });
    assert.deepEqual(writeSocketAddress({ address: '10.77.0.12', port: 8080 }, { littleEndian: true }), v4);
    const v6 = Buffer.from('000a005000000000fd77000000000000000000000000001200000000', 'hex');
    assert.deepEqual(readSocketAddress(v6, { littleEndian: false }), { address: 'fd77::12', port: 80 });
    assert.deepEqual(writeSocketAddress({ address: 'fd77::12', port: 80 }, { littleEndian: false }), v6);
  });

  it('is none where it is of another family, or too short, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.boolean(), (bytes, littleEndian) => {
        const read = readSocketAddress(Buffer.from(bytes), { littleEndian });
        if (read === undefined) return;
        assert.ok(bytes.length >= 16);
        assert.ok(normalizeHost(read.address) === read.address && read.port <= 65_535);
      }),
      { numRuns: 2_000 },
    );
    assert.equal(readSocketAddress(Buffer.alloc(0), { littleEndian: true }), undefined);
    assert.equal(readSocketAddress(Buffer.from([10, 0, ...Array(20).fill(0)]), { littleEndian: true }), undefined);
    assert.equal(readSocketAddress(Buffer.from([1, 0, ...Array(26).fill(0)]), { littleEndian: true }), undefined);
  });
});
