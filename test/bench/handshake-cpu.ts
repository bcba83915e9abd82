import { once } from 'node:events';
import type { Figure } from './figure.ts';
import { answerOf, withInboundPair, type InboundPair, type MeasuredProxy } from './inbound-pair.ts';
import { processCpu } from './process-cpu.ts';

const CONCURRENCY = 8;
const WARM_UP = 600;
const CONNECTIONS = 1_500;
/** Ours and the peer's rounds alternate, and the least disturbed round of each counts: the machine is shared. */
const ROUNDS = 3;

/** Elliptic and classical, which every Envoy has; a hybrid costs both the same on top. */
const GROUP = 'X25519';

/** CPU time of one new mTLS connection with one request and answer, on the inbound side: a full handshake each. */
export function handshakeCpu(): Promise<Figure> {
  return figureOf(false);
}

/** The same where each connection resumes a session of one before it. */
export function handshakeResumedCpu(): Promise<Figure> {
  return figureOf(true);
}

function figureOf(resume: boolean): Promise<Figure> {
  return withInboundPair(async (pair) => {
    const best = { ours: Infinity, peer: Infinity };
    for (let round = 0; round < ROUNDS; round += 1) {
      best.ours = Math.min(best.ours, await measure(pair, pair.ours, resume));
      best.peer = Math.min(best.peer, await measure(pair, pair.envoy, resume));
    }
    return { ...best, unit: 'µs CPU per connection', peerName: 'Envoy' };
  });
}

async function measure(pair: InboundPair, target: MeasuredProxy, resume: boolean): Promise<number> {
  await load(pair, target, { resume, connections: WARM_UP });
  return load(pair, target, { resume, connections: CONNECTIONS });
}

async function load(
  pair: InboundPair,
  { process: proxy, port }: MeasuredProxy,
  { resume, connections }: { readonly resume: boolean; readonly connections: number },
): Promise<number> {
  const generator = pair.start('handshake-client.ts');
  const { keyPem, chainPem, rootsPem } = pair.client;
  generator.send({ port, connections, concurrency: CONCURRENCY, resume, group: GROUP, keyPem, chainPem, rootsPem });
  await answerOf(generator);
  const pid = proxy.pid ?? 0;
  const before = processCpu(pid);
  const finished = answerOf(generator);
  generator.send({ go: true });
  await finished;
  const used = processCpu(pid) - before;
  generator.send({ stop: true });
  await once(generator, 'exit');
  return (used / connections) * 1e6;
}
