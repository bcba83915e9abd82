import { once } from 'node:events';
import { closedLoop, CONNECTIONS } from './closed-loop.ts';
import type { Figure } from './figure.ts';
import { answerOf, withInboundPair, type InboundPair, type MeasuredProxy } from './inbound-pair.ts';

const WARM_UP = 10_000;
const SATURATING = 20_000;
const SECONDS = 4;
/** Ours and the peer's rounds alternate, and the least disturbed round of each counts: the machine is shared. */
const ROUNDS = 4;

/** Milliseconds. */
interface Latencies {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
}

/** p99 of one request at half load, from the moment at which it was due. */
export function http1P99(progress: (line: string) => void): Promise<Figure> {
  return figureOf('http', progress);
}

/** The same for the same small messages where they are opaque TCP. */
export function tcpP99(progress: (line: string) => void): Promise<Figure> {
  return figureOf('tcp', progress);
}

/**
 * Both get the same rate: half of what the slower one gets through when each connection sends as soon as it was answered.
 * Load generator and origin run on the same machine, so that rate is the machine's, and what it does besides is in the
 * latencies of both.
 */
function figureOf(protocol: 'http' | 'tcp', progress: (line: string) => void): Promise<Figure> {
  return withInboundPair(
    async (pair) => {
      const alpn = protocol === 'tcp' ? ['istio'] : undefined;
      const saturated = async (target: MeasuredProxy): Promise<number> => {
        await closedLoop(pair, target, { requests: WARM_UP, ...(alpn === undefined ? {} : { alpn }) });
        const { rate } = await closedLoop(pair, target, {
          requests: SATURATING,
          ...(alpn === undefined ? {} : { alpn }),
        });
        return rate;
      };
      const rates = [await saturated(pair.ours), await saturated(pair.envoy)];
      const rate = Math.floor(Math.min(...rates) / 2);
      progress(`saturated: ours ${rates.map((each) => each.toFixed(0)).join(', Envoy ')} a second; asked ${rate}`);
      let ours: Latencies | undefined;
      let peer: Latencies | undefined;
      for (let round = 0; round < ROUNDS; round += 1) {
        ours = better(ours, await openLoop(pair, pair.ours, { rate, alpn }));
        peer = better(peer, await openLoop(pair, pair.envoy, { rate, alpn }));
        progress(`ours ${said(ours)}; Envoy ${said(peer)}`);
      }
      if (ours === undefined || peer === undefined) throw new Error('no round was run');
      const notes = [`${rate} a second over ${CONNECTIONS} connections: ours ${said(ours)}; Envoy ${said(peer)}`];
      return { ours: ours.p99, peer: peer.p99, unit: 'ms, p99 at half load', peerName: 'Envoy', notes };
    },
    { protocol },
  );
}

async function openLoop(
  pair: InboundPair,
  { port }: MeasuredProxy,
  { rate, alpn }: { readonly rate: number; readonly alpn: readonly string[] | undefined },
): Promise<Latencies> {
  const generator = pair.start('open-loop.ts');
  generator.send({ port, connections: CONNECTIONS, rate, seconds: SECONDS, alpn, identity: pair.client });
  await answerOf(generator);
  const finished = answerOf<Latencies>(generator);
  generator.send({ go: true });
  const latencies = await finished;
  generator.send({ stop: true });
  await once(generator, 'exit');
  return latencies;
}

function better(one: Latencies | undefined, other: Latencies): Latencies {
  return one === undefined || other.p99 < one.p99 ? other : one;
}

function said({ p50, p90, p99, p999 }: Latencies): string {
  return [p50, p90, p99, p999]
    .map((each, index) => `p${['50', '90', '99', '99.9'][index]} ${each.toFixed(2)}`)
    .join(' ');
}
