import { Socket, type OnReadOpts } from 'node:net';

export interface ReadInto {
  readonly first: Buffer;
  /** Called behind each read: what the next one goes into, or undefined for the same. */
  readonly next: () => Buffer | undefined;
  /** As that of `onread`. */
  readonly callback: OnReadOpts['callback'];
}

/**
 * Has a socket that was accepted read into buffers of ours from now on, as one that was made with `onread`, and says
 * whether it does; where not, it emits `data` as any other. What it has read and not given away yet is still emitted.
 *
 * Node has `onread` for sockets that a program makes, and no way to ask for it on one that a server made. Each read
 * makes an ArrayBuffer then, whose memory lies outside V8's heap, and goes through a stream. So this does what Node does for its
 * own (lib/net.js, `initSocketHandle`): it sets three properties, which have symbols that Node shows to nobody and that are
 * found on a socket made with `onread` for that, and calls `useUserBuffer` of the handle. Where any of it is different
 * one day, nothing is changed. Node lends the system the memory of a buffer for as long as it is that property's value.
 */
export function readInto(socket: Socket, { first, next, callback }: ReadInto): boolean {
  const handle = memberOf(socket, '_handle');
  const useUserBuffer = memberOf(handle, 'useUserBuffer');
  if (NAMES === undefined || typeof useUserBuffer !== 'function') return false;
  // Undefined: no socket of Node's. A buffer: it has one already, and a handle takes only one.
  if (memberOf(socket, NAMES.buffer) !== null) return false;
  Reflect.set(socket, NAMES.buffer, first);
  Reflect.set(socket, NAMES.next, next);
  Reflect.set(socket, NAMES.callback, callback);
  Reflect.apply(useUserBuffer, handle, [first]);
  return true;
}

/** Where a socket of Node keeps what `onread` sets; undefined where it is not found. */
const NAMES = findNames();

function findNames(): { readonly buffer: symbol; readonly next: symbol; readonly callback: symbol } | undefined {
  const first = Buffer.alloc(1);
  const callback = (): boolean => true;
  // `onread` is an option of this constructor, which its types do not know.
  const options: object = { onread: { buffer: first, callback } };
  const probe = new Socket(options);
  const named = (name: string, value: unknown): symbol | undefined =>
    Object.getOwnPropertySymbols(probe).find(
      (symbol) => symbol.description === name && memberOf(probe, symbol) === value,
    );
  const [buffer, next, found] = [named('kBuffer', first), named('kBufferGen', null), named('kBufferCb', callback)];
  return buffer === undefined || next === undefined || found === undefined
    ? undefined
    : { buffer, next, callback: found };
}

function memberOf(of: unknown, name: string | symbol): unknown {
  return typeof of === 'object' && of !== null ? Reflect.get(of, name) : undefined;
}
