import type { ApiResource } from './api-resource.ts';
import { isRecord, type KubernetesObject } from './kubernetes-object.ts';

export const LEASES: ApiResource = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
};

/** Where a lease is. */
export interface LeasePlace {
  readonly namespace: string;
  readonly name: string;
}

/** What a Lease says. Whoever may write it can write anything: each field that makes no sense is as if it were not there. */
export interface LeaseRecord {
  /** Empty where nobody holds it. */
  readonly holder: string;
  /** How long after its last renewal others must leave it alone, in milliseconds; undefined where it does not say. */
  readonly duration: number | undefined;
  /** As written, in wall time of whoever wrote it: told to people and never compared with a clock. */
  readonly acquireTime: string | undefined;
  readonly renewTime: string | undefined;
  readonly transitions: number;
}

/** A Lease as it was read, and what a write must name so that it replaces this and nothing newer. */
export interface ReadLease {
  readonly record: LeaseRecord;
  readonly object: KubernetesObject;
}

export function readLease(object: KubernetesObject): ReadLease {
  const spec = isRecord(object.body['spec']) ? object.body['spec'] : {};
  const seconds = wholeNumber(spec['leaseDurationSeconds']);
  const record = {
    holder: text(spec['holderIdentity']) ?? '',
    duration: seconds === undefined || seconds === 0 ? undefined : seconds * 1_000,
    acquireTime: text(spec['acquireTime']),
    renewTime: text(spec['renewTime']),
    transitions: wholeNumber(spec['leaseTransitions']) ?? 0,
  };
  return { record, object };
}

/** Whether two readings say the same, so that nobody has renewed in between. */
export function sameRecord(a: LeaseRecord, b: LeaseRecord): boolean {
  return (
    a.holder === b.holder &&
    a.duration === b.duration &&
    a.acquireTime === b.acquireTime &&
    a.renewTime === b.renewTime &&
    a.transitions === b.transitions
  );
}

/** What is sent: a Lease that replaces `over`, or a new one. What else stands in the old one's metadata stays. */
export function leaseBody(place: LeasePlace, record: LeaseRecord, over?: ReadLease): Record<string, unknown> {
  const { holder, duration, acquireTime, renewTime, transitions } = record;
  const kept = isRecord(over?.object.body['metadata']) ? over.object.body['metadata'] : {};
  return {
    metadata: { ...kept, ...place },
    spec: {
      holderIdentity: holder,
      // Rounded up: others must never take it sooner than its holder counts on.
      leaseDurationSeconds: Math.ceil((duration ?? 1_000) / 1_000),
      acquireTime,
      renewTime,
      leaseTransitions: transitions,
    },
  };
}

/** Microseconds, as Kubernetes writes them (MicroTime). All of one length, so that texts compare as times do. */
const MICRO_TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{6})Z$/;

/** Times with five digits in their year have another text. Wall milliseconds. */
const LAST_TIME = Date.parse('9999-12-31T00:00:00Z');

/**
 * The time of a renewal: now, but always later than the last one. A clock that is set back, or stands still, would
 * else write what stood there before: nobody could tell that it was renewed, and two would hold the lease.
 */
export function nextRenewTime(now: number, last: string | undefined): string {
  const own = `${new Date(Math.min(Math.max(0, now), LAST_TIME)).toISOString().slice(0, -1)}000Z`;
  const match = MICRO_TIME.exec(last ?? '');
  if (match === null || last === undefined || last < own) return own;
  const micros = Number(match[2]) + 1;
  const seconds = new Date(Date.parse(`${match[1]}Z`) + (micros === 1_000_000 ? 1_000 : 0));
  if (Number.isNaN(seconds.getTime())) return own;
  return `${seconds.toISOString().slice(0, 19)}.${String(micros % 1_000_000).padStart(6, '0')}Z`;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function wholeNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
