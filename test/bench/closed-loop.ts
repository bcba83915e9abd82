import { once } from 'node:events';
import { answerOf, type InboundPair, type MeasuredProxy } from './inbound-pair.ts';
import { processCpu } from './process-cpu.ts';

/** As in a sidecar of a busy workload: each caller keeps a few. */
export const CONNECTIONS = 16;

export interface ClosedLoop {
  readonly requests: number;
  /** Asked in plaintext instead of mTLS. */
  readonly plaintext?: boolean;
  readonly hosts?: readonly string[];
  readonly alpn?: readonly string[];
}

export interface LoopResult {
  /** Microseconds of the proxy's CPU for each request, user and system, all threads: an error below 1 over 30,000. */
  readonly cpu: number;
  /** Requests a second. */
  readonly rate: number;
}

/** Has one proxy answer so many requests, one after the other on each connection. */
export async function closedLoop(
  pair: Pick<InboundPair, 'start' | 'client'>,
  { process: proxy, port }: MeasuredProxy,
  { requests, plaintext = false, hosts, alpn }: ClosedLoop,
): Promise<LoopResult> {
  const { pid } = proxy;
  if (pid === undefined) throw new Error('the proxy was not started');
  const generator = pair.start('closed-loop.ts');
  const identity = plaintext ? undefined : pair.client;
  generator.send({ port, connections: CONNECTIONS, requests, hosts, alpn, identity });
  await answerOf(generator);
  const before = processCpu(pid);
  const finished = answerOf<{ seconds: number }>(generator);
  generator.send({ go: true });
  const { seconds } = await finished;
  const used = processCpu(pid) - before;
  generator.send({ stop: true });
  await once(generator, 'exit');
  return { cpu: (used / requests) * 1e6, rate: requests / seconds };
}
