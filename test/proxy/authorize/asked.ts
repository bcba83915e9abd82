import { strict as assert } from 'node:assert';
import { READ } from '../../../proxy/http1/head-reader.ts';
import type { RequestHead } from '../../../proxy/http1/request-head.ts';
import { RequestReader } from '../../../proxy/http1/request-reader.ts';
import { checkRequest } from '../../../proxy/http1/request-rules.ts';
import type { ConnectionFacts } from '../../../proxy/inbound/connection-facts.ts';

export const FRONT = 'spiffe://cluster.local/ns/shop/sa/front';

/** The head of a request as the engine reads it. */
export function requestOf(lines: readonly string[]): RequestHead {
  const reader = new RequestReader();
  const bytes = Buffer.from(
    `${[...lines, ...(lines.some((l) => l.startsWith('Host')) ? [] : ['Host: catalog'])].join('\r\n')}\r\n\r\n`,
  );
  assert.equal(reader.read(bytes, 0, bytes.length), READ.complete);
  assert.equal(checkRequest(reader.head, ['websocket']), undefined);
  return reader.head;
}

/** A connection by mTLS. */
export function facts(fields: Partial<ConnectionFacts> = {}): ConnectionFacts {
  return {
    peer: FRONT,
    peerCertificate: undefined,
    self: 'spiffe://cluster.local/ns/shop/sa/catalog',
    serverName: '',
    alpn: '',
    remoteAddress: '10.0.0.9',
    remotePort: 40_000,
    destinationAddress: '10.0.0.1',
    destinationPort: 8080,
    ...fields,
  };
}
