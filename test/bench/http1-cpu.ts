import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Figure } from './figure.ts';
import { answerOf, withInboundPair, type InboundPair, type MeasuredProxy } from './inbound-pair.ts';

const CONNECTIONS = 16;
const WARM_UP = 10_000;
const REQUESTS = 30_000;
/** Ours and the peer's rounds alternate, and the least disturbed round of each counts: the machine is shared. */
const ROUNDS = 3;

/**
 * CPU time of one proxied request on the inbound side: mTLS, one RBAC rule, XFCC, keep-alive to the application. Both
 * proxies run one worker thread, are driven by one and the same load generator, and have one and the same origin.
 */
export function http1Cpu(): Promise<Figure> {
  return withInboundPair(async (pair) => {
    const best = { ours: Infinity, peer: Infinity };
    for (let round = 0; round < ROUNDS; round += 1) {
      best.ours = Math.min(best.ours, await measure(pair, pair.ours));
      best.peer = Math.min(best.peer, await measure(pair, pair.envoy));
    }
    return { ...best, unit: 'µs CPU per request', peerName: 'Envoy' };
  });
}

async function measure(pair: InboundPair, target: MeasuredProxy): Promise<number> {
  await load(pair, target, WARM_UP);
  return load(pair, target, REQUESTS);
}

async function load(pair: InboundPair, { process: proxy, port }: MeasuredProxy, requests: number): Promise<number> {
  const generator = pair.start('tls-client.ts');
  const { keyPem, chainPem, rootsPem } = pair.client;
  generator.send({ port, connections: CONNECTIONS, requests, keyPem, chainPem, rootsPem });
  await answerOf(generator);
  const before = cpuSeconds(proxy);
  const finished = answerOf(generator);
  generator.send({ go: true });
  await finished;
  const used = cpuSeconds(proxy) - before;
  generator.send({ stop: true });
  await once(generator, 'exit');
  return (used / requests) * 1e6;
}

/** User and system time of all threads, in ticks of 10 ms: over 30,000 requests that is an error below 1 µs each. */
function cpuSeconds({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
