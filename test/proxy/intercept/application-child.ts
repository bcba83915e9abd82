// An application of a test, as a process of its own: HTTP, an echo of bytes, and a server that speaks first, at the ports
// and the address that it is given. HTTP answers with what it sees of its caller.
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:net';

const [host = '0.0.0.0', ...ports] = process.argv.slice(2);
const [http = 0, echo = 0, greeting = 0] = ports.map(Number);

const servers: [Server, number][] = [
  [
    createHttpServer(({ socket, headers, url }, answer) => {
      const { remoteAddress, localAddress } = socket;
      answer.end(JSON.stringify({ url, headers, remoteAddress, localAddress, pid: process.pid }));
    }),
    http,
  ],
  [createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).pipe(socket)), echo],
  [createServer((socket) => socket.on('error', () => {}).end('hello\n')), greeting],
];
let listening = 0;
for (const [server, port] of servers) {
  if (port === 0) continue;
  server.listen({ host, port, ipv6Only: false }, () => {
    listening += 1;
    if (listening === ports.length) console.log('listening');
  });
}
