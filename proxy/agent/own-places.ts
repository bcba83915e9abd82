import { isIPv4 } from 'node:net';
import type { Settings } from '../../src/config/settings-table.ts';
import type { Workload } from './destination.ts';

/** Where the sidecar listens whatever the control stream says. */
export interface OwnPlace {
  /** The setting that says so. */
  readonly setting: string;
  /** A numeric address. */
  readonly address: string;
  readonly port: number;
}

export interface OwnPlaces {
  /** For a workload whose own side is at this address. */
  at(workload: Pick<Workload, 'addresses'>, localAddress: string): readonly OwnPlace[];
  /** Whether connections are intercepted, so that of the listeners asked for only those that are bound are opened. */
  readonly onlyBound: boolean;
}

type Asked = Pick<Settings['proxy'], 'interceptionMode' | 'inbound' | 'outbound' | 'status' | 'ready'>;

/** On a laptop each workload has a loopback address of its own, so that Istio's ports repeat unchanged. */
export function statusAddress({ addresses: [address = ''] }: Pick<Workload, 'addresses'>): string {
  return isIPv4(address) && address.startsWith('127.') ? address : '::';
}

/** @param onCluster whether every workload has a network of its own */
export function knowOwnPlaces(asked: Asked, onCluster: boolean): OwnPlaces {
  const { interceptionMode, inbound, outbound, status, ready } = asked;
  const intercepts = interceptionMode !== 'NONE';
  const placesOf = (
    setting: string,
    { host, port }: Asked['status'],
    ...otherwise: readonly string[]
  ): readonly OwnPlace[] =>
    // A free port is chosen beside all others.
    port === 0 ? [] : (host === undefined ? otherwise : [host]).map((address) => ({ setting, address, port }));
  return Object.freeze({
    at: (workload: Pick<Workload, 'addresses'>, localAddress: string) => {
      const pages = onCluster ? '::' : statusAddress(workload);
      return [
        ...(intercepts ? placesOf('proxy.inbound', inbound, '0.0.0.0', '::') : []),
        ...placesOf('proxy.outbound', outbound, ...(intercepts ? ['127.0.0.1', '::1'] : [localAddress])),
        ...placesOf('proxy.status', status, pages),
        ...placesOf('proxy.ready', ready, pages),
      ];
    },
    onlyBound: intercepts,
  });
}
