/** What happens with the bytes that a client sends. */
export const PHASE = {
  /** They are a head, or there are none. */
  reading: 0,
  /** They wait: the decision, or the upstream, is still to come. */
  waiting: 1,
  /** They are the body of the request under way, and what is behind it waits. */
  exchanging: 2,
  /** They are passed on unread, since the protocol was changed. */
  tunnelling: 3,
  /** They are thrown away until the client closes. */
  lingering: 4,
  closed: 5,
} as const;
