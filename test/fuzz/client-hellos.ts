import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { connect, type ConnectionOptions } from 'node:tls';

/** First bytes of Node's TLS client, of several kinds. */
export function clientHellos(): Promise<Buffer[]> {
  const kinds: ConnectionOptions[] = [
    {},
    { servername: 'catalog.shop', ALPNProtocols: ['istio-http/1.1', 'istio'] },
    { maxVersion: 'TLSv1.2', ALPNProtocols: ['h2', 'http/1.1'] },
  ];
  return Promise.all(kinds.map(helloOf));
}

async function helloOf(options: ConnectionOptions): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const said = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => {
      pieces.push(chunk);
      said.emit('said');
      done();
    },
  });
  const spoken = once(said, 'said');
  const socket = connect({ socket: said, rejectUnauthorized: false, ...options });
  socket.on('error', () => {});
  await spoken;
  socket.destroy();
  return Buffer.concat(pieces);
}
