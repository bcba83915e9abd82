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
  'idle-memory': {
    what: 'memory of the whole sidecar with 1000 idle mTLS connections',
    load: async () => (await import('./idle-memory.ts')).idleMemory,
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
};
