import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { NotMeasurable, type Figure, type Measure } from './figure.ts';
import { IssuanceLoad } from './issuance-load.ts';

/** More than for the CPU of one: what waits for a commit should be the next batch, not the next call. */
const IN_FLIGHT = 64;
const WARM_UP = 3_000;
const CALLS = 12_000;

/**
 * Certificates a second that the CA answers from one core, each durable on disk before its answer. All threads of the
 * CA share CPU 0, the load generator has CPU 1. Afterwards the ledger must hold every one of them and verify.
 */
export const issuanceRate: Measure = async (progress): Promise<Figure> => {
  if (spawnSync('taskset', ['--version']).error !== undefined) {
    throw new NotMeasurable('without taskset (util-linux) it would not be one core');
  }
  if (availableParallelism() < 2) throw new NotMeasurable('one core for the CA and one for the load are needed');
  progress(`signing ${WARM_UP + CALLS} tokens`);
  const load = await IssuanceLoad.start(WARM_UP + CALLS, { cpus: { ca: 0, generator: 1 } });
  try {
    const before = await load.certificatesInLedger();
    await load.issue(WARM_UP, IN_FLIGHT);
    const { seconds, caCpu } = await load.issue(CALLS, IN_FLIGHT);
    const recorded = (await load.certificatesInLedger()) - before;
    if (recorded !== WARM_UP + CALLS) {
      throw new Error(`${WARM_UP + CALLS} certificates were answered and ${recorded} are in the ledger`);
    }
    return {
      ours: CALLS / seconds,
      unit: 'certificates/s',
      peer: null,
      peerName: null,
      peerAbsent: 'no other CA is run beside it',
      notes: [
        `all ${recorded} certificates are in the ledger, which verifies`,
        `the CA had ${((caCpu / seconds) * 100).toFixed(0)} % of its core: ` +
          `the rest was waiting, or other programs'; at 100 % it would be ${(CALLS / caCpu).toFixed(0)} certificates/s`,
        ...(load.onDisk ? [] : ['the ledger was on a tmpfs, where an fsync costs nothing: set TMPDIR to a disk']),
      ],
    };
  } finally {
    await load.close();
  }
};
