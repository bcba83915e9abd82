/**
 * One thing that a client may send, and what our engine is to make of it: a status, and nothing goes on; exactly these
 * messages, one after the other, and then perhaps a refusal; or a message begun and broken off, which nobody can take
 * for a whole one.
 */
export type RequestCase =
  | { readonly name: string; readonly send: string; readonly refused: number }
  | {
      readonly name: string;
      readonly send: string;
      readonly passed: readonly string[];
      /** The status that what comes behind them is answered with. */
      readonly behind?: number;
    }
  | { readonly name: string; readonly send: string; readonly broken: true };

export const GET = 'GET / HTTP/1.1\r\nHost: h\r\n';
export const POST = 'POST / HTTP/1.1\r\nHost: h\r\n';
/** What an attacker would like to slip by, as a whole request. */
export const BEHIND = 'GET /behind HTTP/1.1\r\nHost: h\r\n\r\n';
export const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`;

/** A case that is refused, with 400 unless said otherwise. */
export function refuse(name: string, send: string, status = 400): RequestCase {
  return { name, send, refused: status };
}

/** A case that is passed on byte for byte. */
export function passAsIs(name: string, send: string): RequestCase {
  return { name, send, passed: [send] };
}

/** A case of which these messages go on. */
export function passAs(name: string, send: string, ...passed: string[]): RequestCase {
  return { name, send, passed };
}

/** A case that begins well and is broken off in its body. */
export function breakOff(name: string, send: string): RequestCase {
  return { name, send, broken: true };
}
