import { closedLoop } from './closed-loop.ts';
import type { Figure } from './figure.ts';
import { withInboundPair, type InboundPair, type MeasuredProxy } from './inbound-pair.ts';
import { OTHER_PEERS } from './other-peers.ts';

const WARM_UP = 10_000;
const REQUESTS = 30_000;
/** Ours and the peers' rounds alternate, and the least disturbed round of each counts: the machine is shared. */
const ROUNDS = 3;

/**
 * CPU time of one proxied request on the inbound side: mTLS, one RBAC rule, XFCC, keep-alive to the application. All
 * proxies run one worker thread, are driven by one and the same load generator, and have one and the same origin.
 */
export function http1Cpu(progress: (line: string) => void): Promise<Figure> {
  return withInboundPair(async (pair) => {
    const notes: string[] = [];
    const others = new Map<string, { proxy: MeasuredProxy; best: number }>();
    for (const { name, does, start } of OTHER_PEERS) {
      const proxy = await start(pair);
      if (typeof proxy === 'string') notes.push(`${name} was not measured: ${proxy}`);
      else others.set(`${name} (${does})`, { proxy, best: Infinity });
    }
    const best = { ours: Infinity, peer: Infinity };
    for (let round = 0; round < ROUNDS; round += 1) {
      best.ours = Math.min(best.ours, await measure(pair, pair.ours));
      best.peer = Math.min(best.peer, await measure(pair, pair.envoy));
      progress(`ours ${best.ours.toFixed(1)}, Envoy ${best.peer.toFixed(1)} µs`);
      for (const other of others.values()) other.best = Math.min(other.best, await measure(pair, other.proxy));
    }
    for (const [name, other] of others) {
      notes.push(`${name}: ${other.best.toFixed(1)} µs; ours to it ${(best.ours / other.best).toFixed(2)}`);
    }
    return { ...best, unit: 'µs CPU per request', peerName: 'Envoy', notes };
  });
}

async function measure(pair: InboundPair, target: MeasuredProxy): Promise<number> {
  await closedLoop(pair, target, { requests: WARM_UP });
  return (await closedLoop(pair, target, { requests: REQUESTS })).cpu;
}
