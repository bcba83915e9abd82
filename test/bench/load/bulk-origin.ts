// A server of long bodies, as cheaply as it can be done: `GET /api/<bytes>` is answered with so many, and what is sent
// with a content-length is read and answered when all of it has come. Nothing is pipelined.
import { createServer, type AddressInfo, type Socket } from 'node:net';

const PIECE = Buffer.alloc(256 * 1024, 'x');

function send(socket: Socket, bytes: number): void {
  socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${bytes}\r\n\r\n`);
  let left = bytes;
  const next = (): void => {
    while (left > 0 && !socket.destroyed) {
      const piece = left < PIECE.length ? PIECE.subarray(0, left) : PIECE;
      left -= piece.length;
      if (!socket.write(piece)) break;
    }
    if (left === 0) socket.off('drain', next);
  };
  socket.on('drain', next);
  next();
}

const server = createServer({ noDelay: true, highWaterMark: 1024 * 1024 }, (socket) => {
  let head = '';
  let left: number | undefined;
  socket.on('data', (chunk: Buffer) => {
    let length = chunk.length;
    if (left === undefined) {
      head += chunk.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      const asked = /^GET \/api\/(\d+) /.exec(head)?.[1];
      if (asked !== undefined) {
        head = '';
        send(socket, Number(asked));
        return;
      }
      left = Number(/content-length: (\d+)/i.exec(head.slice(0, end))?.[1]);
      length = head.length - end - 4;
    }
    left -= length;
    if (left > 0) return;
    head = '';
    left = undefined;
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  });
  socket.on('error', () => socket.destroy());
});
server.listen(0, '127.0.0.1', () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
process.on('disconnect', () => process.exit());
