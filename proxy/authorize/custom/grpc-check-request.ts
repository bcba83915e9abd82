import { encodePem } from '../../../src/pki/pem.ts';
import type { AttributesInit, CheckRequestInit, HttpRequestInit, PeerInit } from '../../../src/wire/services.ts';
import type { ConnectionFacts } from '../../inbound/connection-facts.ts';
import type { AskedRequest } from '../steps.ts';
import type { Check } from './check.ts';
import { fieldsOf, PARTIAL_BODY } from './request-fields.ts';

type Peers = Pick<AttributesInit, 'source' | 'destination' | 'tlsSession'>;

/** Numbers requests within this process; Envoy numbers its streams. */
let lastId = 0;
const peersOf = new WeakMap<ConnectionFacts, Peers>();

/** What a gRPC provider is told, filled in as Envoy does. */
export function checkRequestOf({ connection, request, body, time }: Check, asBytes: boolean): CheckRequestInit {
  const seconds = Math.floor(time / 1000);
  const timestamp = { seconds: BigInt(seconds), nanos: Math.floor((time - seconds * 1000) * 1e6) };
  const http = request === undefined ? undefined : httpOf(request, body, asBytes);
  return {
    attributes: {
      ...peers(connection),
      ...(http === undefined ? {} : { request: { time: timestamp, http } }),
    },
  };
}

function httpOf(request: AskedRequest, body: Check['body'], asBytes: boolean): HttpRequestInit {
  const { head, path, scheme } = request;
  lastId += 1;
  // No object: a field may be called `__proto__`.
  const headers = new Map([
    [':method', head.method],
    [':path', path],
    [':authority', head.authority],
    [':scheme', scheme],
  ]);
  for (const [name, value] of fieldsOf(request)) {
    const before = headers.get(name);
    headers.set(name, before === undefined ? asText(value) : `${before},${asText(value)}`);
  }
  if (body !== undefined) headers.set(PARTIAL_BODY, String(!body.whole));
  return {
    id: String(lastId),
    method: head.method,
    path,
    host: head.authority,
    scheme,
    protocol: `HTTP/1.${head.minor}`,
    headers: Object.fromEntries(headers),
    size: sizeOf(request),
    ...(body === undefined ? {} : asBytes ? { rawBody: body.bytes } : { body: body.bytes.toString('utf8') }),
  };
}

/** -1 where nobody can know it yet. */
function sizeOf({ head }: AskedRequest): bigint {
  if (head.framing === 'none') return 0n;
  return head.framing === 'length' ? BigInt(head.contentLength) : -1n;
}

/** A field is bytes, and a string of a message is UTF-8: what is not, is told with replacement characters. */
function asText(value: string): string {
  return /^[\x20-\x7e\t]*$/.test(value) ? value : Buffer.from(value, 'latin1').toString('utf8');
}

function peers(connection: ConnectionFacts): Peers {
  let known = peersOf.get(connection);
  if (known === undefined) {
    const { peer, peerCertificate, self, serverName } = connection;
    known = {
      source: {
        address: addressOf(connection.remoteAddress, connection.remotePort),
        principal: peer ?? '',
        certificate: peerCertificate === undefined ? '' : encodeURIComponent(encodePem('CERTIFICATE', peerCertificate)),
      },
      destination: {
        address: addressOf(connection.destinationAddress, connection.destinationPort),
        principal: self ?? '',
      },
      ...(serverName === '' ? {} : { tlsSession: { sni: serverName } }),
    };
    peersOf.set(connection, known);
  }
  return known;
}

function addressOf(address: string, port: number): NonNullable<PeerInit['address']> {
  const portSpecifier = { case: 'portValue', value: port } as const;
  return { address: { case: 'socketAddress', value: { address, portSpecifier } } };
}
