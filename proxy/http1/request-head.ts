import type { HeaderValue } from '../../src/policy/header-value.ts';
import { MessageHead } from './message-head.ts';

/** How the end of a body is found (RFC 9112 6.3). */
export type Framing = 'none' | 'length' | 'chunked' | 'until-close';

/** Methods that are compared instead of copied out of the head, in the order of their use. */
const COMMON_METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'] as const;

/** Bytes of `x-request-id: `, and of a line's end. */
const REQUEST_ID_NAME = 14;
const LINE_END = 2;

/** The head of a request. Valid until the exchange is over; see `MessageHead`. */
export class RequestHead extends MessageHead {
  methodStart = 0;
  methodEnd = 0;
  targetStart = 0;
  targetEnd = 0;
  /**
   * Where the path with its query stands: the target itself in origin-form, what follows the authority in
   * absolute-form. Empty for `http://host`, which means `/` (RFC 9112 3.2.1).
   */
  pathStart = 0;
  framing: Framing = 'none';
  /** Bytes of the body where `framing` is `length`. */
  contentLength = 0;
  /** The protocol that the client offers to change to, where that is one the engine relays; else undefined. */
  upgrade: string | undefined;
  /** Whether the client keeps the connection open after the answer. */
  keepAlive = true;
  /** Whether the client waits for `100 Continue` before it sends the body. */
  expectsContinue = false;
  /** Host and port as the client wrote them; empty only in HTTP/1.0. */
  hostField = -1;
  /** The field that names the request; -1 where there is none, -2 where there are several. */
  requestIdField = -1;
  /**
   * An `x-request-id` of our own, as the line that is passed on, CRLF included. Its bytes may be overwritten for the
   * next request of the connection.
   */
  ownRequestId: Buffer | undefined;

  #method: string | undefined;
  #path: string | undefined;

  get method(): string {
    return (this.#method ??= this.#readMethod());
  }

  /** The path with its query, as received; `*` for `OPTIONS *`. */
  get path(): string {
    return (this.#path ??= this.#readPath());
  }

  /** The host with its port, as received. */
  get authority(): string {
    return this.hostField < 0 ? '' : this.value(this.hostField);
  }

  /** What names the request in logs, as it is passed on; empty where nothing does. */
  get requestId(): string {
    if (this.ownRequestId !== undefined)
      return this.ownRequestId.toString('latin1', REQUEST_ID_NAME, this.ownRequestId.length - LINE_END);
    return this.requestIdField < 0 ? '' : this.value(this.requestIdField);
  }

  override lines(name: string): HeaderValue {
    if (this.ownRequestId !== undefined && name === 'x-request-id') return this.requestId;
    return super.lines(name);
  }

  override clear(): void {
    super.clear();
    this.#method = undefined;
    this.#path = undefined;
    this.framing = 'none';
    this.contentLength = 0;
    this.upgrade = undefined;
    this.keepAlive = true;
    this.expectsContinue = false;
    this.hostField = -1;
    this.requestIdField = -1;
    this.ownRequestId = undefined;
  }

  shiftStartLine(distance: number): void {
    this.methodStart += distance;
    this.methodEnd += distance;
    this.targetStart += distance;
    this.targetEnd += distance;
  }

  #readMethod(): string {
    for (const method of COMMON_METHODS) {
      if (this.methodEnd - this.methodStart !== method.length) continue;
      let at = 0;
      while (at < method.length && this.bytes[this.methodStart + at] === method.charCodeAt(at)) at += 1;
      if (at === method.length) return method;
    }
    return this.bytes.toString('latin1', this.methodStart, this.methodEnd);
  }

  #readPath(): string {
    if (this.pathStart < this.targetEnd) {
      const path = this.bytes.toString('latin1', this.pathStart, this.targetEnd);
      // `http://host?query` has an empty path, and an empty path is `/` (RFC 9110 4.2.3).
      return path.startsWith('?') ? `/${path}` : path;
    }
    // RFC 9112 3.2.4: OPTIONS in absolute-form without a path asks about the server as a whole.
    return this.method === 'OPTIONS' ? '*' : '/';
  }
}
