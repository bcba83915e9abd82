import type { Figure, Measure } from './figure.ts';
import { bareCryptographyOfOneIssuance } from './issuance-crypto.ts';
import { IssuanceLoad } from './issuance-load.ts';

const IN_FLIGHT = 32;
const WARM_UP = 3_000;
const ROUNDS = 5;
const CALLS = 2_000;
const BARE_CALLS = 4_000;

/**
 * CPU of the CA's process, all threads, user and system, for one issuance over TLS and gRPC that ends durable on disk,
 * against the cryptography in it that nobody can leave out. Every call has a token and a CSR of its own, and nothing
 * of an answer is remembered. One connection carries all calls: its handshake does not count.
 *
 * Rounds of both alternate and the median of each is taken, since a shared machine is not equally fast all the time.
 */
export const issuanceCpu: Measure = async (progress): Promise<Figure> => {
  progress(`signing ${WARM_UP + ROUNDS * CALLS} tokens`);
  const load = await IssuanceLoad.start(WARM_UP + ROUNDS * CALLS);
  try {
    const bare = bareCryptographyOfOneIssuance();
    bareCpu(bare);
    await load.issue(WARM_UP, IN_FLIGHT);
    const [ours, floor]: [number[], number[]] = [[], []];
    for (let round = 1; round <= ROUNDS; round += 1) {
      const { caCpu, seconds } = await load.issue(CALLS, IN_FLIGHT);
      ours.push((caCpu / CALLS) * 1e6);
      floor.push(bareCpu(bare));
      progress(
        `round ${round}: ${ours.at(-1)?.toFixed(0)} us, bare cryptography ${floor.at(-1)?.toFixed(0)} us; ` +
          `${(CALLS / seconds).toFixed(0)} certificates/s`,
      );
    }
    return {
      ours: median(ours),
      peer: median(floor),
      unit: 'us CPU/issuance',
      peerName: 'its bare cryptography',
      notes: load.onDisk ? [] : ['the ledger was on a tmpfs, where an fsync costs nothing: set TMPDIR to a disk'],
    };
  } finally {
    await load.close();
  }
};

/** Microseconds a call. */
function bareCpu(bare: () => void): number {
  const before = process.cpuUsage();
  for (let call = 0; call < BARE_CALLS; call += 1) bare();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / BARE_CALLS;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
