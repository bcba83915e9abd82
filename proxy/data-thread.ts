import { lookup } from 'node:dns/promises';
import { randomBytes } from 'node:crypto';
import type { MessagePort } from 'node:worker_threads';
import type { Random } from '../src/core/backoff.ts';
import type { Clock } from '../src/core/clock.ts';
import { reasonOf } from '../src/core/errors.ts';
import type { LogFields, Logger } from '../src/core/logger.ts';
import { parseTrustDomain } from '../src/identity/trust-domain.ts';
import { cleanFields } from '../src/observe/clean-fields.ts';
import { createMetricRecorder } from '../src/observe/metric-recorder.ts';
import { OnDemandBook } from './agent/address-book.ts';
import { HeldAddresses } from './agent/held-addresses.ts';
import { PushedState } from './agent/pushed-state.ts';
import { DecisionLog } from './decisions/decision-log.ts';
import { Allowance } from './inbound/allowance.ts';
import { openInterception } from './open-interception.ts';
import { createMeshIdentity, type CertificateSource } from './mesh-identity.ts';
import { AccessLog, DROPPED } from './report/access-log.ts';
import { Sidecar } from './sidecar.ts';
import { inTurns } from './status/in-turns.ts';
import { LineCounts } from './workers/line-counts.ts';
import { unpackUpdate } from './workers/packed-update.ts';
import type { CertificateMessage, MainCalls, ProblemMessage, ThreadCalls, ThreadSetup } from './workers/protocol.ts';
import { RelayedKeySets } from './workers/relayed-key-sets.ts';
import { RelayedLines } from './workers/relayed-lines.ts';
import { PushesInOrder } from './workers/pushes-in-order.ts';
import { ThreadPort } from './workers/thread-port.ts';

/** Milliseconds for which changes of the destinations in use are gathered. */
const HOSTS_DELAY = 200;

/** What there is once in a process, or a thread. */
export interface ThreadSurroundings {
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * One of several threads that carry the traffic of a workload: a whole data plane, whose agent is the main thread. What
 * that took in is taken in here as it came, so that both mean the same by it.
 */
export async function startDataThread(
  messages: MessagePort,
  setup: ThreadSetup,
  { clock, random }: ThreadSurroundings,
): Promise<void> {
  const { thread, uid, namespace, limits, rootNamespace, connections } = setup;
  const recorder = createMetricRecorder();
  const { metrics } = recorder;
  const say =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}) =>
      main.tell('log', level, message, cleanFields(fields));
  const logger: Logger = {
    debug: setup.debug ? say('debug') : () => undefined,
    info: say('info'),
    warn: say('warn'),
    error: say('error'),
  };

  const interception = await openInterception(setup.interception, { clock, logger, shared: true });
  const held = new HeldAddresses();
  const state = new PushedState({
    uid,
    names: { trustDomain: parseTrustDomain(setup.trustDomain), rootNamespace },
    held,
    onAddresses: (names) => book.answered(names),
    onRoots: () => undefined,
    onTaken: () => undefined,
    logger,
  });
  const pushes = new PushesInOrder(state);
  const book = new OnDemandBook({
    held,
    own: () => ({ namespace, network: state.current()?.workload.network ?? '' }),
    subscribe: (names) => main.call('want', names),
    unsubscribe: (names) => main.tell('release', names),
    clock,
    logger,
  });
  let hostsTold = true;
  book.onChange(() => {
    if (!hostsTold) return;
    hostsTold = false;
    clock.after(HOSTS_DELAY, () => {
      hostsTold = true;
      main.tell('hosts', book.hosts);
    });
  });

  let certificate: CertificateMessage | undefined;
  const onCertificate = new Set<() => void>();
  const certificates: CertificateSource = {
    current: () => certificate,
    onChange: (listener) => {
      onCertificate.add(listener);
      return () => onCertificate.delete(listener);
    },
  };

  const lines = new RelayedLines((text, count) => main.tell('accessLog', text, count));
  const written = new LineCounts(setup.lines);
  const decisions =
    setup.decisionLog === 0 ? undefined : new DecisionLog({ clock, capacity: setup.decisionLog, randomBytes });
  const problems = (): ProblemMessage[] => sidecar.problems.map(({ code, fields }) => ({ code, fields }));

  const calls: ThreadCalls = {
    apply: async (typeUrl, packed) => {
      try {
        await pushes.take(typeUrl, unpackUpdate(packed));
        await sidecar.applied;
        return undefined;
      } catch (error) {
        return reasonOf(error);
      }
    },
    forget: (names) => state.forget(names),
    certificate: (next) => {
      certificate = next;
      for (const listener of onCertificate) listener();
    },
    state: () => ({ open: sidecar.open, problems: problems(), hosts: book.hosts, metrics: recorder.take() }),
    open: () => sidecar.open,
    findDecisions: async (id) => (decisions === undefined ? [] : inTurns(decisions.findInSlices(id), clock)),
    linesTaken: (length) => lines.taken(length),
    drain: () => sidecar.drain(),
    endInbound: () => sidecar.endInbound(),
    close: () => sidecar.close(),
  };
  const main = new ThreadPort<ThreadCalls, MainCalls>(messages, calls);

  const sidecar = new Sidecar({
    clock,
    logger,
    metrics,
    config: state,
    identity: createMeshIdentity(certificates, state),
    book,
    keySets: new RelayedKeySets({
      find: (name) => state.current()?.keySets.get(name)?.set,
      lookAgain: (name, wait) => main.call('lookAgain', name, wait),
      clock,
    }),
    lookup: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
    proxy: setup.outbound,
    // The main thread looks, and a listener that is to be closed does not wait for it.
    interception: interception && { ...interception, inForce: main.call('inForce') },
    decisions,
    limits,
    randomBytes,
    random,
    accessLog: new AccessLog({
      ...setup.accessLog,
      clock,
      write: lines.write,
      onDrain: lines.onDrain,
      dropped: metrics.counter(DROPPED.name, DROPPED.help).of(),
      onWaiting: () => written.wrote(thread),
    }),
    shared: {
      threads: setup.threads,
      hold: async (address, asked, facing) => {
        const port = await main.call('hold', address, asked, facing);
        return { port, release: () => main.call('letGo', address, asked) };
      },
      listensAlone: thread === 0,
      connections: new Allowance(limits.maxConnections, { counts: connections, thread }),
      onListeners: () => main.tell('listeners', problems()),
    },
  });
}
