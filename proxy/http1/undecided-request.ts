import type { Socket } from 'node:net';
import { BodyPeek } from './body-peek.ts';
import type { Decision } from './decision.ts';
import { FieldNameSet } from './field-names.ts';
import type { HeldInput } from './held-input.ts';
import { PROBLEM, type Problem } from './problems.ts';
import type { RequestHead } from './request-head.ts';
import type { PeekedBody, PeekExtent, WaitingClient } from './waiting-client.ts';

/** RFC 9110 15.2.1. */
const CONTINUE = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
const EXPECT = new FieldNameSet(['expect']);

/** The connection, as its request that waits for a decision sees it. */
export interface UndecidedOwner {
  readonly socket: Socket;
  /** What came behind the head. */
  readonly input: HeldInput;
  /** Whether the request still waits. */
  readonly waiting: boolean;
  /** Whether the client has closed its direction. */
  readonly ended: boolean;
  /** Keeps what was read ahead, to be passed on. */
  hold(bytes: Buffer): void;
  /** The body that is read ahead cannot become whole. */
  onBodyBrokenOff(): void;
  onBodyMalformed(problem: Problem): void;
}

/**
 * A request that waits for its decision: who decides, and who wants to read its body ahead or to know that its client has
 * left. One object serves all requests of a connection.
 */
export class UndecidedRequest implements WaitingClient {
  readonly #owner: UndecidedOwner;
  readonly #head: RequestHead;
  #pending: Decision | undefined;
  #onGone: (() => void)[] | undefined;
  #peek: BodyPeek | undefined;

  constructor(owner: UndecidedOwner, head: RequestHead) {
    this.#owner = owner;
    this.#head = head;
  }

  /** Whether a decision is waited for. */
  get pending(): boolean {
    return this.#pending !== undefined;
  }

  /** Whether somebody reads the body ahead. */
  get peeked(): boolean {
    return this.#peek !== undefined;
  }

  /** A request has come: nothing of the one before counts any more. */
  begin(): void {
    this.#onGone = undefined;
    this.#peek = undefined;
  }

  wait(decision: Decision): void {
    this.#pending = decision;
  }

  /** Whether it is this decision that is waited for: one that comes too late is not. */
  awaits(decision: Decision): boolean {
    return this.#pending === decision;
  }

  /** No decision is waited for any more. */
  settle(): void {
    this.#pending = undefined;
  }

  /** The decision is there: what was read ahead is the connection's again. */
  decided(): void {
    const peek = this.#peek;
    this.begin();
    this.#pending = undefined;
    if (peek !== undefined) this.#owner.hold(peek.take());
  }

  /** The client has left, or is sent away. */
  tellGone(): void {
    const listeners = this.#onGone;
    this.begin();
    if (listeners !== undefined) for (const listener of listeners) listener();
  }

  onGone(listener: () => void): void {
    (this.#onGone ??= []).push(listener);
  }

  peekBody(extent: PeekExtent): Promise<PeekedBody> {
    const owner = this.#owner;
    return new Promise((resolve) => {
      // Whoever read ahead before has given up: what it had read is read again.
      const given = this.#peek?.take();
      this.#peek = undefined;
      if (given !== undefined && given.length > 0) owner.hold(given);
      const peek = new BodyPeek(this.#head, extent, resolve);
      if (!owner.waiting || peek.settled) return;
      this.#peek = peek;
      const input = owner.input.takeAll();
      if (input !== undefined) {
        this.read(input);
        if (!this.peeked) return;
      } else if (this.#head.expectsContinue) {
        // Nobody else can ask for the body in time, and the application need not ask again.
        this.#head.expectsContinue = false;
        this.#head.drop(EXPECT);
        owner.socket.write(CONTINUE);
      }
      if (owner.ended) owner.onBodyBrokenOff();
      else if (owner.socket.isPaused()) owner.socket.resume();
    });
  }

  /** Shows what comes to whoever reads the body ahead, and takes it back when that was enough; else it is kept. */
  read(bytes: Buffer): void {
    const peek = this.#peek;
    if (peek === undefined) {
      this.#owner.hold(bytes);
    } else if (!peek.read(bytes)) {
      this.tellGone();
      this.#owner.onBodyMalformed(peek.problem ?? PROBLEM.chunkSize);
    } else if (peek.settled) {
      this.#peek = undefined;
      this.#owner.hold(peek.take());
    }
  }
}
