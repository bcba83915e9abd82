import { Buffer } from 'node:buffer';
import type { EventEmitter } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import type { Deadline, Metadata, ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import type { ByteStream } from './grpc-service.ts';
import type { ServerCall } from './server-call.ts';
import type { ServerPeer } from './server-peer.ts';

/** What every kind of grpc-js's server calls has. */
interface AnyGrpcCall extends Pick<EventEmitter, 'once'> {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  getDeadline(): Deadline;
}

/** grpc-js's call in our words. Made for every call, so nothing is computed before somebody asks. */
export class GrpcCall implements ServerCall {
  readonly method: string;
  readonly peer: ServerPeer;
  readonly #call: AnyGrpcCall;
  #controller: AbortController | undefined;
  #over: 'no' | 'finished' | 'cancelled' = 'no';
  #onOver: (() => void) | undefined;

  constructor(call: AnyGrpcCall, method: string, peer: ServerPeer) {
    this.method = method;
    this.peer = peer;
    this.#call = call;
    // grpc-js says 'cancelled' also after a call that ended well; `finish` tells the two apart.
    call.once('cancelled', () => this.cancel());
    if (call.cancelled) this.#over = 'cancelled';
  }

  get deadline(): number | undefined {
    const deadline = this.#call.getDeadline();
    const time = typeof deadline === 'number' ? deadline : deadline.getTime();
    return Number.isFinite(time) ? time : undefined;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#over === 'cancelled') this.#controller.abort();
    }
    return this.#controller.signal;
  }

  header(name: string): readonly string[] {
    return textOf(this.#call.metadata, name);
  }

  /** Called once when the call is over in whatever way. */
  onOver(call: () => void): void {
    this.#onOver = call;
  }

  cancel(): void {
    if (this.#over !== 'no') return;
    this.#over = 'cancelled';
    this.#controller?.abort();
    this.#onOver?.();
  }

  finish(): void {
    if (this.#over !== 'no') return;
    this.#over = 'finished';
    this.#onOver?.();
  }

  get isOver(): boolean {
    return this.#over !== 'no';
  }
}

function textOf(metadata: Metadata, name: string): string[] {
  return metadata.get(name).filter((value) => typeof value === 'string');
}

/** A grpc-js stream as bytes in and out. */
export function byteStream(
  call: GrpcCall,
  stream: ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>,
): ByteStream {
  return {
    call,
    requests: requestsOf(call, stream),
    send: (response) => !call.isOver && stream.write(response),
    drained: async () => {
      if (call.isOver || !stream.writableNeedDrain) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      stream.once('drain', resolve);
      call.signal.addEventListener('abort', () => resolve(), { once: true });
      await promise;
      stream.off('drain', resolve);
    },
  };
}

async function* requestsOf(
  call: GrpcCall,
  stream: ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>,
): AsyncGenerator<Buffer> {
  if (!('readable' in stream) || typeof stream.read !== 'function') return;
  try {
    // `destroyOnReturn: false`: a handler that stops reading may still want to send.
    for await (const message of stream.iterator({ destroyOnReturn: false })) {
      if (Buffer.isBuffer(message)) yield message;
    }
    // A reset of the stream reaches grpc-js as an end of its data first and as a cancellation after it, in the same
    // turn of the event loop: only then `call.signal` tells the handler which of the two it was.
    await setImmediate();
  } catch (error) {
    // A caller that goes away destroys the stream: for the handler that is the end of its messages.
    if (!call.isOver && !call.signal.aborted) throw error;
  }
}
