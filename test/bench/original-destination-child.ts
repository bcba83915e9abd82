// Inside a network namespace of its own, with rules: takes one redirected connection and asks again and again where it was
// going. Prints microseconds of CPU a call.
import { spawnSync } from 'node:child_process';
import { endianness } from 'node:os';
import { createServer, connect } from 'node:net';
import { openKoffiCalls } from '../../proxy/intercept/koffi-calls.ts';
import { readDestination } from '../../proxy/intercept/read-destination.ts';

const ROUNDS = 200_000;
const WARM_UP = 20_000;

for (const line of [
  'ip link set lo up',
  'iptables -t nat -A OUTPUT -p tcp -d 127.0.0.9 -j REDIRECT --to-ports 15006',
]) {
  const [program = '', ...words] = line.split(' ');
  const { status, stderr } = spawnSync(program, words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${line}: ${stderr}`);
}
const ports = new Set([15_006]);
const destinations = readDestination({
  calls: await openKoffiCalls(),
  ports,
  littleEndian: endianness() === 'LE',
});
const server = createServer((socket) => {
  for (let round = 0; round < WARM_UP; round += 1) destinations.of(socket);
  const before = process.cpuUsage();
  let port = 0;
  for (let round = 0; round < ROUNDS; round += 1) port = destinations.of(socket)?.port ?? 0;
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify({ port, micros: (user + system) / ROUNDS }));
  process.exit(0);
});
server.listen(15_006, '127.0.0.1', () => connect(8_080, '127.0.0.9'));
