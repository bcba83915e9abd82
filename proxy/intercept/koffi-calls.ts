import { endianness } from 'node:os';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import { AF_INET, AF_INET6, writeSocketAddress } from './socket-address.ts';
import type { SocketCalls, SocketOption } from './socket-calls.ts';

const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;

/**
 * The calls by koffi, the only door to that package. It is loaded by the sidecar that intercepts and by no other.
 *
 * @throws SealwrightError `interception_unavailable` where it is not installed or not made for this machine
 */
export async function openKoffiCalls(): Promise<SocketCalls> {
  try {
    const { default: koffi } = await import('koffi');
    // Node is linked with the C library already: no file has to be found.
    const library = koffi.load(null);
    const getsockopt = library.func('int getsockopt(int, int, int, _Out_ uint8_t *value, _Inout_ uint32_t *length)');
    const setsockopt = library.func('int setsockopt(int, int, int, const int *value, uint32_t length)');
    const socket = library.func('int socket(int, int, int)');
    const bind = library.func('int bind(int, const uint8_t *address, uint32_t length)');
    const close = library.func('int close(int)');
    const littleEndian = endianness() === 'LE';
    const refuse = (call: string): never => {
      throw new SealwrightError('interception_refused', { call, errno: errnoName(koffi.errno(), koffi.os.errno) });
    };
    return Object.freeze({
      getOption: (fd: number, { level, number }: SocketOption, size: number) => {
        const value = Buffer.alloc(size);
        const length = [size];
        const result: unknown = getsockopt(fd, level, number, value, length);
        return result === 0 ? value.subarray(0, length[0]) : undefined;
      },
      setOption: (fd: number, { name, level, number }: SocketOption, value: number) => {
        if (setsockopt(fd, level, number, [value], 4) !== 0) refuse(`setsockopt ${name}`);
      },
      openTcp: (family: 'IPv4' | 'IPv6') => {
        const fd: unknown = socket(family === 'IPv4' ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        return typeof fd === 'number' && fd >= 0 ? fd : refuse('socket');
      },
      bind: (fd: number, place: { address: string; port: number }) => {
        const bytes = writeSocketAddress(place, { littleEndian });
        if (bind(fd, bytes, bytes.length) !== 0) refuse('bind');
      },
      close: (fd: number) => void close(fd),
    });
  } catch (cause) {
    throw new SealwrightError('interception_unavailable', { reason: reasonOf(cause) }, { cause });
  }
}

function errnoName(errno: number, names: Readonly<Record<string, number>>): string {
  return Object.keys(names).find((name) => names[name] === errno) ?? String(errno);
}
