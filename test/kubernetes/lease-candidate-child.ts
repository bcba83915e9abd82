import { appendFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { createKubernetesClient } from '../../src/kubernetes/api-client.ts';
import { LeaseElection } from '../../src/kubernetes/lease-election.ts';
import { RecordingLogger } from '../fakes/logger.ts';
import { realClock } from '../fakes/real-clock.ts';

/**
 * A process that takes part in an election and, as often as it can, does what only the leader may do: it adds a line to
 * the file of acts, with the time of the machine's one steady clock and its own name.
 */
const [kubeconfig = '', namespace = '', acts = '', name = hostname(), wallOffset = '0'] = process.argv.slice(2);
/** Off by so many milliseconds. */
const clock = { ...realClock, now: () => realClock.now() + Number(wallOffset) };
const client = await createKubernetesClient({ config: { kubeconfig }, clock });
const logger = new RecordingLogger();
const election = new LeaseElection({
  client,
  lease: { namespace, name: 'sealwright-ca' },
  identity: `${name}_${process.pid}`,
  timings: { leaseDuration: 3_000, renewDeadline: 2_000, retryPeriod: 400 },
  clock,
  random: Math.random,
  logger,
  whileLeading: () => () => undefined,
});
const acting = setInterval(() => {
  if (election.isLeader) appendFileSync(acts, `${process.hrtime.bigint()} ${name}\n`);
}, 5);
process.once('SIGTERM', () => {
  clearInterval(acting);
  void election.close().then(() => {
    client.close();
    process.exit(0);
  });
});
