import type { Socket } from 'node:net';
import type { PreparedAnswer } from './answers.ts';
import type { ResponseReader } from './response-reader.ts';

/** The downstream connection, as its exchange sees it. */
export interface ExchangeClient {
  readonly socket: Socket;
  /** Whether the connection ends behind this response, whatever its framing. */
  readonly closing: boolean;
  /** Bytes received behind the head. */
  readonly inputLength: number;
  /** The upstream is there and the head is written: what was received of the body may follow it. */
  onUpstreamReady(): void;
  /** The upstream takes the request body now. */
  resume(): void;
  /** The upstream takes no more for now. */
  pause(): void;
  /** The client takes no more for now. */
  onClientFull(): void;
  /** Bytes move, so the exchange is not idle. */
  onActivity(): void;
  /** The final head has come and is about to be sent. */
  onResponseHead(reader: ResponseReader): void;
  /** The response was sent whole. */
  onExchangeDone(close: boolean): void;
  /** Nothing was sent to the client yet: it gets `answer`. */
  onExchangeFailed(answer: PreparedAnswer, flags: string, detail: string): void;
  /** The response broke off: the client must not take what it has for the whole. */
  onExchangeTruncated(flags: string, detail: string): void;
  /** The upstream accepted the change of protocol: from here on `tunnel` takes all bytes. */
  onTunnel(): void;
}
