import type { Measure } from './figure.ts';

/** A figure that can be asked for. Its module is loaded when it is: some start processes, some need a peer. */
export interface RegisteredFigure {
  readonly what: string;
  readonly load: () => Promise<Measure>;
}

/** Every figure by its name, in the order in which all of them are taken. */
export const FIGURES: Readonly<Record<string, RegisteredFigure>> = {
  'http1-cpu': {
    what: 'CPU of one HTTP/1.1 request through the inbound data path, with mTLS, one rule and XFCC',
    load: async () => (await import('./http1-cpu.ts')).http1Cpu,
  },
  'http1-threads': {
    what: 'the same of a whole sidecar with two threads that share the port, against one',
    load: async () => (await import('./http1-threads.ts')).http1Threads,
  },
  'http1-p99': {
    what: 'p99 latency of such a request at half load, open loop',
    load: async () => (await import('./latency.ts')).http1P99,
  },
  'tcp-p99': {
    what: 'the same for the same messages as opaque TCP',
    load: async () => (await import('./latency.ts')).tcpP99,
  },
  'http1-growth': {
    what: 'CPU of one HTTP/1.1 request with 10,000 policies, services or open connections, against 10',
    load: async () => (await import('./http1-growth.ts')).http1Growth,
  },
  'bulk-cpu': {
    what: 'CPU of 1 GB of opaque TCP through the inbound side, mTLS to plain and back',
    load: async () => (await import('./bulk-cpu.ts')).bulkCpu,
  },
  'bulk-http': {
    what: 'the same as bodies of HTTP/1.1 messages',
    load: async () => (await import('./bulk-cpu.ts')).bulkHttp,
  },
  'idle-memory': {
    what: 'memory of the whole sidecar with 1000 idle mTLS connections',
    load: async () => (await import('./idle-memory.ts')).idleMemory,
  },
  'handshake-cpu': {
    what: 'CPU of one new mTLS connection with one request, a full handshake, same key exchange on both',
    load: async () => (await import('./handshake-cpu.ts')).handshakeCpu,
  },
  'handshake-resumed-cpu': {
    what: 'the same where the handshake resumes a session',
    load: async () => (await import('./handshake-cpu.ts')).handshakeResumedCpu,
  },
  'original-destination': {
    what: 'asking the kernel where an intercepted connection was going, once a connection',
    load: async () => (await import('./original-destination.ts')).originalDestination,
  },
  'issuance-cpu': {
    what: "CPU of one issuance, from the call's bytes to a durable certificate",
    load: async () => (await import('./issuance-cpu.ts')).issuanceCpu,
  },
  'issuance-rate': {
    what: 'durable issuances a second from one core',
    load: async () => (await import('./issuance-rate.ts')).issuanceRate,
  },
  'policy-decision': {
    what: 'one allowed request judged by 1000 policies of 10 rules',
    load: async () => (await import('./policy-figures.ts')).policyDecision,
  },
  'policy-scale': {
    what: 'the same with 10,000 policies, against 10',
    load: async () => (await import('./policy-figures.ts')).policyScale,
  },
  'policy-compile': {
    what: '10,000 policies compiled for the first time',
    load: async () => (await import('./policy-figures.ts')).policyCompile,
  },
  'policy-push': {
    what: 'one changed policy of 10,000, from its push to the configuration in force',
    load: async () => (await import('./policy-push.ts')).policyPush,
  },
  'ledger-append': {
    what: 'CPU of one durable ledger entry, the writing thread included',
    load: async () => (await import('./ledger-append.ts')).ledgerAppend,
  },
  'distribution-scale': {
    what: 'a policy changed with 1000 sidecars connected at 10,000 pods, 2000 services, 5000 policies, against 1000 pods',
    load: async () => (await import('./distribution-scale.ts')).distributionScale,
  },
  'distribution-push': {
    what: 'a policy of the whole mesh edited, to the last of 1000 sidecars over gRPC, at 10,000 pods',
    load: async () => (await import('./distribution-push.ts')).distributionPush,
  },
  'kubernetes-scale': {
    what: 'the same with the resources in a real API server (etcd, kube-apiserver, kube-controller-manager, kubectl)',
    load: async () => (await import('./kubernetes-scale.ts')).kubernetesScale,
  },
};
