/** What a TLS ClientHello says in the clear. */
export interface ClientHello {
  /** SNI, empty when there is none. */
  readonly serverName: string;
  /** ALPN protocols in the order of the client's preference. */
  readonly alpn: readonly string[];
}

/** More bytes are needed, or these begin no ClientHello. */
export type ClientHelloOutcome = ClientHello | 'more' | 'none';

/** Longest ClientHello read, in bytes: post-quantum key shares make 2 KiB common; Envoy's inspector takes 16 KiB. */
const MAX_HELLO = 16 * 1024;

/** All records are read again with each byte that comes: 16 KiB in records of one byte, sent one by one, took 30 s. */
const MAX_RECORDS = 2_048;

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const EXT_SERVER_NAME = 0;
const EXT_ALPN = 16;

/** Reads a ClientHello (RFC 8446 4.1.2) from the first bytes of a connection, over as many records as it takes. */
export function readClientHello(bytes: Buffer): ClientHelloOutcome {
  const message: Buffer[] = [];
  let collected = 0;
  let wanted = 4;
  for (let at = 0; collected < wanted;) {
    if (bytes.length - at < 5) {
      return looksLikeRecord(bytes, at) ? 'more' : 'none';
    }
    if (!looksLikeRecord(bytes, at)) return 'none';
    const length = bytes.readUInt16BE(at + 3);
    // RFC 8446 5.1: no handshake record is empty, and none is longer than 2^14.
    if (length === 0 || length > 2 ** 14) return 'none';
    const piece = bytes.subarray(at + 5, at + 5 + length);
    if (message.length === MAX_RECORDS) return 'none';
    message.push(piece);
    collected += piece.length;
    if (wanted === 4 && collected >= 4) {
      const start = message.length === 1 ? piece : Buffer.concat(message);
      if (start[0] !== CLIENT_HELLO) return 'none';
      wanted = 4 + start.readUIntBE(1, 3);
      if (wanted > MAX_HELLO) return 'none';
    }
    if (piece.length < length && collected < wanted) return 'more';
    at += 5 + length;
  }
  return readBody(Buffer.concat(message).subarray(4, wanted));
}

function looksLikeRecord(bytes: Buffer, at: number): boolean {
  return (
    (bytes.length <= at || bytes[at] === HANDSHAKE) &&
    (bytes.length <= at + 1 || bytes[at + 1] === 3) &&
    // Versions 3.1 to 3.3 stand in records of everything from TLS 1.0 to 1.3; 3.0 is SSL 3.
    (bytes.length <= at + 2 || (bytes[at + 2] ?? 0) <= 4)
  );
}

function readBody(body: Buffer): ClientHelloOutcome {
  const reader = new FieldReader(body);
  reader.skip(2 + 32); // legacy_version, random
  reader.take(1); // legacy_session_id
  reader.take(2); // cipher_suites
  reader.take(1); // legacy_compression_methods
  let serverName = '';
  const alpn: string[] = [];
  const extensions = new FieldReader(reader.left > 0 ? reader.take(2) : Buffer.alloc(0));
  while (extensions.left > 0 && !extensions.failed) {
    const type = extensions.number(2);
    const content = new FieldReader(extensions.take(2));
    if (type === EXT_SERVER_NAME) {
      const names = new FieldReader(content.take(2));
      while (names.left > 0 && !names.failed) {
        const kind = names.number(1);
        const name = names.take(2);
        if (kind === 0) serverName = name.toString('latin1');
      }
      if (names.failed) return 'none';
    } else if (type === EXT_ALPN) {
      const protocols = new FieldReader(content.take(2));
      while (protocols.left > 0 && !protocols.failed) alpn.push(protocols.take(1).toString('latin1'));
      if (protocols.failed) return 'none';
    }
    if (content.failed) return 'none';
  }
  return reader.failed || extensions.failed ? 'none' : { serverName, alpn };
}

/** Reads length-prefixed fields; what runs past the end marks it as failed and gives nothing. */
class FieldReader {
  readonly #bytes: Buffer;
  #at = 0;
  failed = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  skip(length: number): void {
    if (length > this.left) this.failed = true;
    else this.#at += length;
  }

  number(width: number): number {
    if (width > this.left) {
      this.failed = true;
      return 0;
    }
    this.#at += width;
    return this.#bytes.readUIntBE(this.#at - width, width);
  }

  /** A field whose length stands before it in `width` bytes. */
  take(width: number): Buffer {
    const length = this.number(width);
    const start = this.#at;
    this.skip(length);
    return this.failed ? Buffer.alloc(0) : this.#bytes.subarray(start, start + length);
  }
}
