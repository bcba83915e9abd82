/** Enough for every sidecar of a large mesh; more file descriptors than that are not spent on connections. */
const MOST_CONNECTIONS = 10_000;

/**
 * What is kept for everything else that opens files: the ports for metrics and for operators (128 and 64 connections),
 * the ledger with its log, the resources, answers of the key servers.
 */
const RESERVE = 320;

/**
 * How many connections a port may hold so that the process never runs out of file descriptors: who opens connections
 * without a credential must not silence the probes and the operator.
 *
 * @param limits `/proc/self/limits` of proc(5); undefined where there is none, and then only the fixed bound holds
 */
export function connectionLimit(limits: string | undefined): number {
  const soft = /^Max open files +([0-9]+) /m.exec(limits ?? '')?.[1];
  if (soft === undefined) return MOST_CONNECTIONS;
  const files = Number(soft);
  return Math.max(1, Math.min(MOST_CONNECTIONS, files - Math.min(RESERVE, Math.floor(files / 2))));
}
