import { addressesIn, type ApiRecord, portAt, recordAt, recordsAt, textAt } from './api-value.ts';
import { isNamespaceName, isResourceName } from './kubernetes-name.ts';
import { type PodOwner, podOwner } from './pod-owner.ts';
import type { Resource } from './resource.ts';

export interface PodPort {
  /** Empty where it has none. */
  readonly name: string;
  readonly port: number;
}

/** A pod, as far as others in the mesh have to know it. */
export interface Pod {
  /** Tells it from another one that takes its name, as pods of a StatefulSet do. */
  readonly uid: string;
  /** IPv4, IPv6 or both, the primary one first; empty before it was started. Those of its node where `hostNetwork`. */
  readonly addresses: readonly string[];
  readonly hostNetwork: boolean;
  /** The name by which the cluster's DNS finds it alone, below that of its namespace (`db-0.db`); empty where it has none. */
  readonly host: string;
  /** The node that it is bound to; empty before. */
  readonly node: string;
  readonly serviceAccount: string;
  /** TCP ports of its containers, those that go on beside the others included. */
  readonly ports: readonly PodPort[];
  /** Whether its containers have ended for ever: its addresses may be another pod's by now. */
  readonly over: boolean;
  /** Whether it was told to end. */
  readonly terminating: boolean;
  /** Whether it is ready for calls, and is not about to go. */
  readonly ready: boolean;
  readonly owner: PodOwner;
}

/** More containers, or ports of one, than anybody has. */
const MOST = 256;

/** What is kept of a Pod; what has its usual value is left out. */
export function reducePod(body: ApiRecord): Readonly<Record<string, unknown>> {
  const metadata = recordAt(body['metadata']);
  const spec = recordAt(body['spec']);
  const status = recordAt(body['status']);
  const addresses = addressesIn([status['podIP'], ...recordsAt(status['podIPs'], MOST).map(({ ip }) => ip)]);
  const ports = portsOf(spec);
  const node = textAt(spec['nodeName']);
  const owner = podOwner(metadata);
  const host = hostOf(metadata, spec);
  return {
    uid: textAt(metadata['uid']),
    serviceAccount: textAt(spec['serviceAccountName']),
    ...(addresses.length === 0 ? {} : { addresses }),
    ...(spec['hostNetwork'] === true ? { hostNetwork: true } : {}),
    ...(node === '' ? {} : { node }),
    ...(host === '' ? {} : { host }),
    ...(ports.length === 0 ? {} : { ports }),
    ...(isOver(status) ? { over: true } : {}),
    ...(isTerminating(metadata) ? { terminating: true } : {}),
    ...(isReady(metadata, status) ? { ready: true } : {}),
    ...(owner === undefined ? {} : { owner }),
  };
}

/** A reduced Pod as a value. Total: what is not as `reducePod` writes it is as if it were absent. */
export function podOf({ spec, name }: Pick<Resource, 'spec' | 'name'>): Pod {
  const serviceAccount = textAt(spec['serviceAccount']);
  const owner = recordAt(spec['owner']);
  const kind = OWNER_KINDS.find((each) => each === owner['kind']);
  return Object.freeze({
    uid: textAt(spec['uid']),
    addresses: Array.isArray(spec['addresses']) ? addressesIn(spec['addresses']) : [],
    hostNetwork: spec['hostNetwork'] === true,
    node: textAt(spec['node']),
    host: textAt(spec['host']),
    // No identity is made of what is no name.
    serviceAccount: isResourceName(serviceAccount) ? serviceAccount : '',
    ports: recordsAt(spec['ports'], MOST).flatMap(({ name: portName, port }) => {
      return portAt(port) === 0 ? [] : [Object.freeze({ name: textAt(portName), port: portAt(port) })];
    }),
    over: spec['over'] === true,
    terminating: spec['terminating'] === true,
    ready: spec['ready'] === true,
    owner: kind === undefined ? { kind: 'Pod' as const, name } : { kind, name: textAt(owner['name']) },
  });
}

const OWNER_KINDS = ['Deployment', 'Job', 'CronJob', 'Pod'] as const;

/** Containers, and init containers that go on beside them (`restartPolicy: Always`), whose ports can be named as well. */
function portsOf(spec: ApiRecord): Record<string, unknown>[] {
  const beside = recordsAt(spec['initContainers'], MOST).filter(({ restartPolicy }) => restartPolicy === 'Always');
  return [...recordsAt(spec['containers'], MOST), ...beside]
    .flatMap(({ ports }) => recordsAt(ports, MOST))
    .filter(({ protocol = 'TCP', containerPort }) => protocol === 'TCP' && portAt(containerPort) !== 0)
    .slice(0, MOST)
    .map(({ name, containerPort }) => {
      const own = textAt(name);
      return { ...(own === '' ? {} : { name: own }), port: portAt(containerPort) };
    });
}

/** Kubernetes DNS specification 2.4.2: a pod that names a headless service (`subdomain`), as those of a StatefulSet do. */
function hostOf({ name }: ApiRecord, { hostname, subdomain }: ApiRecord): string {
  const [own, below] = [textAt(hostname) || textAt(name), textAt(subdomain)];
  return below !== '' && isNamespaceName(own) && isNamespaceName(below) ? `${own}.${below}` : '';
}

function isOver({ phase }: ApiRecord): boolean {
  return phase === 'Failed' || phase === 'Succeeded';
}

function isTerminating({ deletionTimestamp }: ApiRecord): boolean {
  // `null` is what an absent time is written as by some.
  return deletionTimestamp !== undefined && deletionTimestamp !== null;
}

/** As the controller of EndpointSlices judges it. */
function isReady(metadata: ApiRecord, { conditions }: ApiRecord): boolean {
  if (isTerminating(metadata)) return false;
  return recordsAt(conditions, MOST).some(({ type, status }) => type === 'Ready' && status === 'True');
}
