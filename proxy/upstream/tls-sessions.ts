import type { SecureContext } from 'node:tls';

/** What a peer gave us to come back with, and what was proven when it did. */
export interface TlsSession {
  readonly ticket: Buffer;
  /** Of our certificate and the roots of that time. */
  readonly context: SecureContext;
  /** As the peer showed it in the full handshake that began the session. */
  readonly chain: readonly Buffer[];
}

/** A full handshake with OpenSSL gives two, with BoringSSL as well. */
const MOST = 4;

/** The sessions with one peer, that is: of one expected identity at one address under one name. */
export class TlsSessions {
  #sessions: TlsSession[] = [];

  add(session: TlsSession): void {
    this.#sessions.push(session);
    if (this.#sessions.length > MOST) this.#sessions.shift();
  }

  /**
   * The newest that is still good; undefined where there is none. One is used once where there are more (RFC 8446 C.4), and
   * the last one again, since servers on Node give no new ones with a resumed handshake.
   *
   * @param verify judges the chain at this time, by the bundles in force and whom we expect
   */
  take(context: SecureContext, verify: (chain: readonly Buffer[]) => string | undefined): TlsSession | undefined {
    for (let session = this.#sessions.pop(); session !== undefined; session = this.#sessions.pop()) {
      if (session.context !== context || verify(session.chain) !== undefined) continue;
      if (this.#sessions.length === 0) this.#sessions.push(session);
      return session;
    }
    return undefined;
  }

  /** The peer does not like one of them: the next handshake is a full one. */
  forget(): void {
    this.#sessions = [];
  }
}
