import type { Metrics } from '../../src/observe/metrics.ts';

type Outcome = 'renewed' | 'waiting' | 'failed';
const OUTCOMES: readonly Outcome[] = ['renewed', 'waiting', 'failed'];

/** Answers what is to be told of each try. `leader_election_master_status` is what Kubernetes' own programs say. */
export function createElectionMetrics(
  metrics: Metrics,
  { name, isLeader }: { readonly name: string; readonly isLeader: () => boolean },
): (outcome: Outcome) => void {
  metrics.readGauge(
    'leader_election_master_status',
    'Whether this process is the leader at present: 1 or 0.',
    ['name'],
    () => [{ values: [name], value: isLeader() ? 1 : 0 }],
  );
  const tries = metrics.counter(
    'sealwright_leader_election_tries_total',
    'Tries for the lease: renewed or taken, held by another, failed.',
    ['outcome'],
  );
  for (const outcome of OUTCOMES) tries.of(outcome).add(0);
  return (outcome) => tries.of(outcome).add(1);
}
