import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { NotMeasurable, type Figure } from './figure.ts';

const CHILD = fileURLToPath(new URL('original-destination-child.ts', import.meta.url));

const PEER_ABSENT = 'the same call of Envoy cannot be told from the rest of its accept';

/** What interception adds to each connection: one question to the kernel, by way of koffi, and its answer read. */
export async function originalDestination(): Promise<Figure> {
  const { status, stdout, stderr, error } = spawnSync('unshare', ['--net', process.execPath, CHILD], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  if (error !== undefined || status !== 0) {
    throw new NotMeasurable(`no network namespace with rules (root on Linux, iptables): ${error?.message ?? stderr}`);
  }
  const { port, micros } = JSON.parse(stdout) as { port: number; micros: number };
  if (port !== 8_080) throw new Error(`the connection was going to port 8080, not ${port}`);
  return { ours: micros, unit: 'µs CPU a connection', peer: null, peerName: null, peerAbsent: PEER_ABSENT };
}
