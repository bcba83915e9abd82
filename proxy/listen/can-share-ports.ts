import { createServer, type Server } from 'node:net';

/**
 * Whether several threads can listen at one port here. Tried and not looked up: it takes a system that spreads
 * connections over the sockets of one port (macOS and Windows do not) and a Node that asks for it (before 23.1 it takes
 * no notice of `reusePort`).
 */
export async function canSharePorts(): Promise<boolean> {
  const servers: Server[] = [];
  try {
    const port = await listen(servers, 0);
    await listen(servers, port);
    return true;
  } catch {
    return false;
  } finally {
    for (const server of servers) server.close();
  }
}

function listen(servers: Server[], port: number): Promise<number> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port, reusePort: true }, () => {
      servers.push(server);
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}
