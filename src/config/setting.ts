import { isIPv6 } from 'node:net';
import { parseDuration } from '../core/duration.ts';

/** Which command a setting is for. */
export type SettingCommand = 'ca' | 'proxy';

/** As written on the command line, in the environment, or in the file. */
export type Written = string | readonly string[];

/** What a reader answers where the text is no value of its type: what would be right. */
export class Unreadable {
  readonly expected: string;

  constructor(expected: string) {
    this.expected = expected;
  }
}

/** One row of the table of settings. */
export interface Setting<V> {
  /** Of the reference page, such as `duration`. */
  readonly type: string;
  readonly read: (written: Written) => V | Unreadable;
  /** As a person would write it; absent where the setting is unset by default. */
  readonly default: string | undefined;
  /** The default inside a Kubernetes pod, where it differs. */
  readonly clusterDefault: string | undefined;
  readonly purpose: string;
  readonly commands: readonly SettingCommand[];
  /** Variables read besides our own, such as those that Istio's agent reads. */
  readonly alsoVariables: readonly string[];
}

interface Row<D extends string | undefined> {
  readonly default: D;
  readonly clusterDefault?: string;
  readonly purpose: string;
  readonly commands: readonly SettingCommand[];
  readonly alsoVariables?: readonly string[];
}

type Made<V, D> = Setting<D extends string ? V : V | undefined>;

/** A host and a port to listen on or to call. */
export interface HostPort {
  /** A name or an address without brackets; absent in `:15012`, which leaves the choice to the command. */
  readonly host: string | undefined;
  /** 0 lets the system pick one. */
  readonly port: number;
}

export function textSetting<const D extends string | undefined>(
  row: Row<D> & { readonly check?: (text: string) => boolean; readonly expected?: string },
): Made<string, D> {
  const expected = row.expected ?? 'text that is not empty';
  return setting('text', row, (text) => (text !== '' && (row.check?.(text) ?? true) ? text : new Unreadable(expected)));
}

/** In milliseconds. */
export function durationSetting<const D extends string | undefined>(
  row: Row<D> & { readonly min?: number },
): Made<number, D> {
  return setting('duration', row, (text) => {
    const value = readDuration(text);
    if (value === undefined) return new Unreadable('a duration such as 90s, 15m, 24h or 1h30m');
    const { min = 0 } = row;
    return value >= min ? value : new Unreadable(`a duration of at least ${min / 1000}s`);
  });
}

export function hostPortSetting<const D extends string | undefined>(row: Row<D>): Made<HostPort, D> {
  return setting('host:port', row, (text) => {
    return parseHostPort(text) ?? new Unreadable('host:port, [IPv6]:port or :port, the port from 0 to 65535');
  });
}

export function integerSetting<const D extends string | undefined>(
  row: Row<D> & { readonly min: number; readonly max: number },
): Made<number, D> {
  return setting('number', row, (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : -1;
    const inside = value >= row.min && value <= row.max;
    return inside ? value : new Unreadable(`a whole number from ${row.min} to ${row.max}`);
  });
}

export function truthSetting<const D extends string | undefined>(row: Row<D>): Made<boolean, D> {
  return setting('boolean', row, (text) => {
    return text === 'true' ? true : text === 'false' ? false : new Unreadable('true or false');
  });
}

/** A file or folder. A relative one stands beside the settings file where there is one, else in the working folder. */
export function pathSetting<const D extends string | undefined>(row: Row<D>): Made<string, D> {
  return setting('path', row, (text) => {
    return text !== '' && !text.includes('\0') ? text : new Unreadable('the path of a file or folder');
  });
}

export function urlSetting<const D extends string | undefined>(
  row: Row<D> & { readonly schemes: readonly string[] },
): Made<string, D> {
  return setting('URL', row, (text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const fine = url !== undefined && row.schemes.includes(url.protocol.slice(0, -1)) && url.username === '';
    return fine ? text : new Unreadable(`a URL that begins with ${row.schemes.map((s) => `${s}://`).join(' or ')}`);
  });
}

export function enumSetting<const T extends string, const D extends T | undefined>(
  row: Row<D> & { readonly values: readonly T[] },
): Made<T, D> {
  const expected = `one of ${row.values.join(', ')}`;
  return setting(row.values.join(' | '), row, (text) => {
    return row.values.find((value) => value === text) ?? new Unreadable(expected);
  });
}

/** Texts: a list in the file, separated by commas elsewhere. */
export function listSetting<const D extends string | undefined>(
  row: Row<D> & { readonly check?: (item: string) => boolean; readonly expected?: string },
): Made<readonly string[], D> {
  const read = (written: Written): readonly string[] | Unreadable => {
    const items = (typeof written === 'string' ? written.split(',') : written).map((item) => item.trim());
    const filled = typeof written === 'string' ? items.filter((item) => item !== '') : items;
    const fine = filled.every((item) => item !== '' && (row.check?.(item) ?? true));
    return fine ? Object.freeze(filled) : new Unreadable(row.expected ?? 'a list of texts that are not empty');
  };
  return { ...facts('list', row), read };
}

function setting<V, D extends string | undefined>(
  type: string,
  row: Row<D>,
  read: (text: string) => V | Unreadable,
): Made<V, D> {
  const readOne = (written: Written): V | Unreadable => {
    return typeof written === 'string' ? read(written) : new Unreadable('one value and no list');
  };
  return { ...facts(type, row), read: readOne };
}

function facts(type: string, row: Row<string | undefined>): Omit<Setting<unknown>, 'read'> {
  return {
    type,
    default: row.default,
    clusterDefault: row.clusterDefault,
    purpose: row.purpose,
    commands: row.commands,
    alsoVariables: row.alsoVariables ?? [],
  };
}

function readDuration(text: string): number | undefined {
  try {
    return parseDuration(text);
  } catch {
    return undefined;
  }
}

const HOST_PORT = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]*)):(\d{1,5})$/;

function parseHostPort(text: string): HostPort | undefined {
  const match = HOST_PORT.exec(text);
  const port = Number(match?.[3] ?? Number.NaN);
  if (match === null || !(port <= 65_535)) return undefined;
  if (match[1] !== undefined && !isIPv6(match[1])) return undefined;
  const host = match[1] ?? match[2];
  return Object.freeze({ host: host === '' ? undefined : host, port });
}
