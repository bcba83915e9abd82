import fc from 'fast-check';

/** A few changes to the bytes: an octet replaced, taken out or put in, or the end cut off. */
export function mutationsOf(bytes: Buffer): fc.Arbitrary<Buffer> {
  const change = fc.record({
    at: fc.nat({ max: bytes.length - 1 }),
    octet: fc.integer({ min: 0, max: 255 }),
    how: fc.constantFrom('replace', 'remove', 'insert', 'cut'),
  });
  return fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
    let octets = [...bytes];
    for (const { at, octet, how } of changes) {
      if (how === 'replace') octets[at] = octet;
      else if (how === 'cut') octets = octets.slice(0, Math.max(at, 8));
      else octets.splice(at, how === 'remove' ? 1 : 0, ...(how === 'insert' ? [octet] : []));
    }
    return Buffer.from(octets.map((octet) => octet ?? 0));
  });
}
