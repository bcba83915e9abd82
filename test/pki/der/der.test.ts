import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { SealwrightError } from '../../../src/core/errors.ts';
import { DerReader, LONGEST_DER } from '../../../src/pki/der/reader.ts';
import * as der from '../../../src/pki/der/writer.ts';
import { failureOf } from '../../fakes/failure.ts';

const read = <T>(hex: string, how: (reader: DerReader) => T): T => {
  const reader = DerReader.over(Buffer.from(hex, 'hex'));
  const value = how(reader);
  reader.end();
  return value;
};

describe('the DER reader', () => {
  const refused: [title: string, hex: string, how: (reader: DerReader) => unknown, reason: RegExp][] = [
    ['an indefinite length', '30800000', (r) => r.sequence(), /indefinite/],
    ['a long length where a short one would do', '04810161', (r) => r.octetString(), /not minimal/],
    ['a length with a leading zero', `0482007f${'00'.repeat(127)}`, (r) => r.octetString(), /not minimal/],
    ['a length of four octets', '048400000001ff', (r) => r.octetString(), /too large/],
    ['a length beyond the end', '040561', (r) => r.octetString(), /longer than what holds it/],
    ['a header cut short', '04', (r) => r.octetString(), /truncated/],
    ['a length cut short', '0482', (r) => r.octetString(), /truncated/],
    ['bytes after the end', '020101ff', (r) => r.integer(), /trailing/],
    ['a positive integer with a needless zero', '0202007f', (r) => r.integer(), /not minimal/],
    ['a negative integer with a needless ff', '0202ff80', (r) => r.integer(), /not minimal/],
    ['an integer without content', '0200', (r) => r.integer(), /without content/],
    ['a small integer that is negative', '0201ff', (r) => r.smallInteger(), /out of range/],
    ['a boolean that is neither 00 nor ff', '010101', (r) => r.boolean(), /neither/],
    ['a boolean of two octets', '0102ffff', (r) => r.boolean(), /neither/],
    ['a default that is written out', '010100', (r) => r.optionalTrue(), /default/],
    ['a bit string without its first octet', '0300', (r) => r.bitString(), /malformed/],
    ['eight unused bits', '03020800', (r) => r.bitString(), /malformed/],
    ['unused bits that are set', '03020301', (r) => r.bitString(), /not zero/],
    ['unused bits of nothing', '030101', (r) => r.bitString(), /not zero/],
    ['a key that is not of whole octets', '03020780', (r) => r.octetsOfBitString(), /whole octets/],
    ['a null with content', '050100', (r) => r.null(), /content/],
    ['an empty object identifier', '0600', (r) => r.oid(), /object identifier/],
    ['an object identifier cut within an arc', '06022a86', (r) => r.oid(), /object identifier/],
    ['an object identifier with a padded arc', '06032a8001', (r) => r.oid(), /object identifier/],
    ['an object identifier with an enormous arc', '06062affffffff7f', (r) => r.oid(), /object identifier/],
    ['a set that is not sorted', '3106020102020101', (r) => r.setOf(), /not sorted/],
    ['a string made of pieces', '2403040161', (r) => r.walk(), /constructed string/],
    ['an end-of-contents in the open', '0000', (r) => r.walk(), /expected/],
    ['a tag of several octets', '1f810100', (r) => r.walk(), /more than one octet/],
    ['another type than the one expected', '020101', (r) => r.sequence(), /tag 30 was expected/],
    ['nothing at all', '', (r) => r.sequence(), /nothing follows/],
    ['a UTCTime without seconds', '170b323630313031303030305a', (r) => r.time(), /4\.1\.2\.5/],
    ['a UTCTime of another zone', '17113236303130313030303030302b30313030', (r) => r.time(), /4\.1\.2\.5/],
    ['a date that is none', '170d3236303233303030303030305a', (r) => r.time(), /4\.1\.2\.5/],
    ['a GeneralizedTime before 2050', '180f32303439303130313030303030305a', (r) => r.time(), /4\.1\.2\.5/],
    ['a fraction of a second', '181132303530303130313030303030302e355a', (r) => r.time(), /4\.1\.2\.5/],
  ];
  for (const [title, hex, how, reason] of refused) {
    it(`refuses ${title}`, () => {
      assert.match(String(failureOf(() => read(hex, how), 'der_invalid').fields['reason']), reason);
    });
  }

  it('refuses what is nested too deeply and what is too long, before it reads it', () => {
    let nested: Buffer = der.nullValue();
    for (let depth = 0; depth < 30; depth += 1) nested = der.sequence(nested);
    assert.match(failureOf(() => DerReader.over(nested).walk(), 'der_invalid').message, /too deeply/);
    assert.match(failureOf(() => DerReader.over(Buffer.alloc(LONGEST_DER + 1)), 'der_invalid').message, /longer than/);
  });

  it('reads the times of RFC 5280: two digits of the year up to 2049, four from 2050 on', () => {
    const times = ['1950-01-01T00:00:00Z', '2049-12-31T23:59:59Z', '2050-01-01T00:00:00Z', '9999-12-31T23:59:59Z'];
    const tags = times.map((time) => {
      const encoded = der.time(Date.parse(time));
      assert.equal(DerReader.over(encoded).time(), Date.parse(time));
      return encoded[0];
    });
    assert.deepEqual(tags, [0x17, 0x17, 0x18, 0x18]);
  });

  it('reads back whatever the writer wrote', () => {
    const bytes = fc.uint8Array({ maxLength: 400 });
    const arcs = fc.array(fc.integer({ min: 0, max: 2 ** 28 }), { maxLength: 8 });
    fc.assert(
      fc.property(
        bytes,
        fc.integer({ min: 0, max: 2 ** 31 - 1 }),
        arcs,
        fc.boolean(),
        (content, number, rest, flag) => {
          const oid = ['1.3', ...rest].join('.');
          const written = der.sequence(
            der.octetString(content),
            der.unsignedInteger(number),
            der.unsignedInteger(content),
            der.oid(oid),
            der.boolean(flag),
            der.bitString(content),
            der.setOf(der.octetString(content), der.unsignedInteger(number)),
            der.utf8String(oid),
          );
          const outer = DerReader.over(written);
          const reader = outer.sequence();
          outer.end();
          assert.deepEqual(reader.octetString(), Buffer.from(content));
          assert.equal(reader.smallInteger(), number);
          assert.equal(
            BigInt(`0x0${reader.integer().toString('hex')}`),
            BigInt(`0x0${Buffer.from(content).toString('hex')}`),
          );
          assert.equal(reader.oid(), oid);
          assert.equal(reader.boolean(), flag);
          assert.deepEqual(reader.octetsOfBitString(), Buffer.from(content));
          reader.setOf().walk();
          assert.equal(reader.primitive(0x0c).toString(), oid);
          reader.end();
          DerReader.over(written).walk();
        },
      ),
    );
  });

  it('has one encoding for what it accepts: any bytes either are refused or come back as they were', () => {
    const rewrite = (reader: DerReader): Buffer => {
      const parts: Buffer[] = [];
      while (!reader.atEnd) {
        const tag = reader.nextTag;
        if ((tag & 0x20) === 0) parts.push(der.tlv(tag, reader.primitive(tag)));
        else parts.push(der.tlv(tag, rewrite(reader.constructed(tag))));
      }
      return Buffer.concat(parts);
    };
    const anyTag = fc.constantFrom(0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x30, 0x31, 0xa0, 0x86);
    const shaped = fc.tuple(anyTag, fc.uint8Array({ maxLength: 6 })).map(([tag, rest]) => Buffer.from([tag, ...rest]));
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.oneof(
          shaped,
          fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
        ),
        (bytes) => {
          try {
            DerReader.over(bytes).walk();
          } catch (error) {
            assert.ok(error instanceof SealwrightError && error.code === 'der_invalid');
            return;
          }
          accepted += 1;
          assert.deepEqual(rewrite(DerReader.over(bytes)), bytes);
        },
      ),
      { numRuns: 2_000 },
    );
    assert.ok(accepted > 20, `only ${accepted} were accepted`);
  });
});
