import { MessageHead } from './message-head.ts';
import type { Framing } from './request-head.ts';

/** The head of a response. Valid until the exchange is over; see `MessageHead`. */
export class ResponseHead extends MessageHead {
  status = 0;
  framing: Framing = 'none';
  /** Bytes of the body where `framing` is `length`. */
  contentLength = 0;
  /** Whether the upstream keeps the connection open after it. */
  keepAlive = true;
  /** Seconds after which the upstream says it closes an idle connection (`Keep-Alive: timeout=5`), where it does. */
  keepAliveTimeout: number | undefined;

  override clear(): void {
    super.clear();
    this.framing = 'none';
    this.contentLength = 0;
    this.keepAlive = true;
    this.keepAliveTimeout = undefined;
  }
}
