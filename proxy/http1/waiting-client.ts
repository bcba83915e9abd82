/** The client of a request that waits for its decision, as whoever decides sees it. */
export interface WaitingClient {
  /** Calls back once if the client leaves, or is sent away, before the decision. */
  onGone(listener: () => void): void;
  /**
   * Reads the body ahead; all of it is passed on afterwards as it came. Ask before the decision. Never resolves for a
   * client that leaves.
   */
  peekBody(extent: PeekExtent): Promise<PeekedBody>;
}

export interface PeekExtent {
  /** No more is read ahead. */
  readonly maxBytes: number;
  /** Whether the beginning of a longer body is of use: else only as much is read as shows that it is longer. */
  readonly partial: boolean;
}

/** The beginning of a body, without the sizes of its chunks. */
export interface PeekedBody {
  /** At most as many as were asked for. */
  readonly bytes: Buffer;
  /** Whether this is all. */
  readonly whole: boolean;
}
