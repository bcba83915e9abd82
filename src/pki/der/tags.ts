/** Identifier octets (X.690 8.1.2): class, constructed bit and number as they stand in the encoding. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** `[number]` around a primitive value, such as the names of a subjectAltName. */
export const primitiveContext = (number: number): number => 0x80 | number;

/** `[number]` around other elements, such as the version of a certificate. */
export const constructedContext = (number: number): number => 0xa0 | number;
