import type { Settings } from '../../src/config/settings-table.ts';
import type { MetricChange } from '../../src/observe/metric-recorder.ts';
import type { LogFields } from '../../src/core/logger.ts';
import type { ErrorCode, ErrorFields } from '../../src/core/errors.ts';
import type { AccessLogOptions } from '../report/access-log.ts';
import type { DecisionReport } from '../decisions/decision-log.ts';
import type { Facing } from '../listen/hold-place.ts';
import type { OpenConnections } from '../status/data-plane.ts';
import type { PackedUpdate } from './packed-update.ts';

/** What a thread is made with. Key and certificate come apart: they change. */
export interface ThreadSetup {
  /** Counted from 0. One that takes the place of another has its number. */
  readonly thread: number;
  /** How many there are. */
  readonly threads: number;
  /** The name of the own workload on the control stream. */
  readonly uid: string;
  readonly namespace: string;
  readonly trustDomain: string;
  readonly rootNamespace: string;
  readonly limits: Pick<Settings['proxy'], 'maxConnections' | 'headTimeout' | 'clientTimeout' | 'tcpIdleTimeout'>;
  readonly outbound: { readonly host: string | undefined; readonly port: number };
  readonly interception: Pick<Settings['proxy'], 'interceptionMode' | 'inbound' | 'outbound' | 'status' | 'ready'>;
  readonly accessLog: Pick<AccessLogOptions, 'mode' | 'format'>;
  /** How many decisions this thread keeps; 0 for none. */
  readonly decisionLog: number;
  /** Whether lines of the lowest level are wanted. */
  readonly debug: boolean;
  /** See `Allowance`. */
  readonly connections: Int32Array<SharedArrayBuffer>;
  /** See `LineCounts`. */
  readonly lines: Int32Array<SharedArrayBuffer>;
}

/** Key and certificate, as they cross. Never logged (invariant 2). */
export interface CertificateMessage {
  readonly identity: string;
  readonly keyPem: string;
  readonly chainPem: string;
  readonly serial: string;
}

/** A problem, as it crosses. */
export interface ProblemMessage {
  readonly code: ErrorCode;
  readonly fields: ErrorFields;
}

/** How a thread is doing. */
export interface ThreadState {
  readonly open: OpenConnections;
  readonly problems: readonly ProblemMessage[];
  /** Destinations in use, the one used last at the end. */
  readonly hosts: readonly string[];
  /** What it counted since it was asked last. */
  readonly metrics: readonly MetricChange[];
}

/** What the main thread asks of one that carries traffic. */
export interface ThreadCalls extends Readonly<Record<string, (...args: never[]) => unknown>> {
  /** Takes in what the main thread found to be good. Answers when it is in force and what is open was judged by it. */
  readonly apply: (typeUrl: string, update: PackedUpdate) => Promise<string | undefined>;
  readonly forget: (names: readonly string[]) => void;
  readonly certificate: (certificate: CertificateMessage) => void;
  readonly state: () => ThreadState | Promise<ThreadState>;
  /** Connections alone, which cost nothing to tell. */
  readonly open: () => OpenConnections | Promise<OpenConnections>;
  readonly findDecisions: (requestId: string) => readonly DecisionReport[] | Promise<readonly DecisionReport[]>;
  /** So many characters of the access log were taken. */
  readonly linesTaken: (length: number) => void;
  readonly drain: () => Promise<void>;
  readonly endInbound: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** What a thread asks of the main one. */
export interface MainCalls extends Readonly<Record<string, (...args: never[]) => unknown>> {
  readonly want: (names: readonly string[]) => readonly string[];
  readonly release: (names: readonly string[]) => void;
  /** Answers when something may be listened to, and never where that does not come. */
  readonly inForce: () => Promise<void>;
  /** See `HoldPlace`; answers the port. */
  readonly hold: (address: string, port: number, facing: Facing) => Promise<number>;
  readonly letGo: (address: string, port: number) => Promise<void>;
  /** Listeners were opened or could not be. */
  readonly listeners: (problems: readonly ProblemMessage[]) => void;
  readonly hosts: (hosts: readonly string[]) => void;
  /** See `KeySets.askAgain`; false where it could not be asked. */
  readonly lookAgain: (name: string, wait: number) => Promise<boolean>;
  readonly log: (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields: LogFields) => void;
  /** So many lines. */
  readonly accessLog: (lines: string, count: number) => void;
}
