import type { X509Certificate } from 'node:crypto';
import { Backoff, type Random } from '../../src/core/backoff.ts';
import type { Clock, Timer } from '../../src/core/clock.ts';
import { SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { encodeCertificates, readCertificate } from '../../src/pki/certificate-pem.ts';
import { createKeyPair, encodePrivateKey, type KeyPair } from '../../src/pki/keys.ts';
import type { ServerNames } from './server-names.ts';
import type { SignServerCertificate } from './sign-server-certificate.ts';

/** A day: short enough that nobody relies on one certificate, long enough to sit out a long failure. Ms. */
const LIFETIME = 86_400_000;

/** Near the end of the issuer half-lives shrink towards nothing: not more often than this. Ms. */
const SHORTEST_INTERVAL = 60_000;

/** The delays after a failed renewal, in ms. Never gives up. */
const RETRY = { initial: 1_000, max: 60_000 } as const;

/** What a TLS server needs. As PEM, because `tls.createSecureContext` takes no KeyObject. */
export interface ServerCredentials {
  /** The leaf, then what leads to the root, without the root. */
  readonly certificateChain: string;
  /** PKCS#8. Held in memory alone. */
  readonly privateKey: string;
  /** Wall time in milliseconds. */
  readonly notAfter: number;
  toJSON(): unknown;
}

export interface ServerIdentityOptions {
  readonly names: ServerNames;
  readonly signServerCertificate: SignServerCertificate;
  /** How long a certificate is asked for, in milliseconds; a day unless said otherwise. */
  readonly lifetime?: number;
  /** Called with each certificate but the first, before `current` is asked again. */
  readonly onRenewal: (credentials: ServerCredentials) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * The CA's own server certificate: a P-256 key in memory, renewed with a new key at half of what is left of its life.
 * A renewal that fails keeps what there is and is tried again for ever.
 */
export class ServerIdentity {
  readonly #options: ServerIdentityOptions;
  readonly #backoff: Backoff;
  #current: ServerCredentials;
  #timer: Timer | undefined;
  #renewing: Promise<ServerCredentials> | undefined;
  #closed = false;

  private constructor(options: ServerIdentityOptions, first: ServerCredentials) {
    this.#options = options;
    this.#backoff = new Backoff({ ...RETRY, random: options.random });
    this.#current = first;
    this.#schedule();
  }

  /** Has the first certificate signed. Rejects where it cannot be: a CA without one cannot be reached. */
  static async open(options: ServerIdentityOptions): Promise<ServerIdentity> {
    return new ServerIdentity(options, await obtain(options));
  }

  get current(): ServerCredentials {
    return this.#current;
  }

  /** Renews now, as after a rotation of the root. Calls that meet share one renewal. */
  renew(): Promise<ServerCredentials> {
    this.#renewing ??= this.#renew();
    return this.#renewing;
  }

  /** Stops renewing. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  async #renew(): Promise<ServerCredentials> {
    // Ended before anybody hears of it: a call that comes from then on is a new renewal.
    const renewed = await obtain(this.#options).finally(() => {
      this.#renewing = undefined;
    });
    if (this.#closed) return renewed;
    this.#current = renewed;
    this.#schedule();
    this.#options.onRenewal(renewed);
    this.#backoff.reset();
    return renewed;
  }

  #schedule(): void {
    const { clock } = this.#options;
    const now = clock.now();
    this.#wait(() => clock.at(now + Math.max(SHORTEST_INTERVAL, (this.#current.notAfter - now) / 2), this.#due));
  }

  #wait(start: () => Timer): void {
    this.#timer?.cancel();
    this.#timer = this.#closed ? undefined : start();
  }

  readonly #due = (): void => {
    const { clock, logger } = this.#options;
    this.renew().catch((error: unknown) => {
      logger.error('the certificate of the CA server was not renewed', {
        reason: error instanceof Error ? error.message : String(error),
        notAfter: new Date(this.#current.notAfter).toISOString(),
      });
      this.#wait(() => clock.after(this.#backoff.next(), this.#due));
    });
  };
}

async function obtain(options: ServerIdentityOptions): Promise<ServerCredentials> {
  const { names, signServerCertificate, clock, lifetime = LIFETIME } = options;
  const keyPair = await createKeyPair();
  const order = { publicKey: keyPair.publicKey, ...names, notAfter: clock.now() + lifetime };
  const chain = await signServerCertificate(order);
  const notAfter = checkAnswer(chain[0], { keyPair, names, now: clock.now() });
  return Object.freeze({
    certificateChain: encodeCertificates(chain),
    privateKey: encodePrivateKey(keyPair.privateKey),
    notAfter,
    toJSON: () => ({ notAfter: new Date(notAfter).toISOString(), privateKey: '[redacted]' }),
  });
}

interface Expected {
  readonly keyPair: KeyPair;
  readonly names: ServerNames;
  readonly now: number;
}

/** A certificate for another key or other names would stop every client only once it is in use. */
function checkAnswer(leaf: Buffer | undefined, { keyPair, names, now }: Expected): number {
  const refuse = (reason: string): never => {
    throw new SealwrightError('server_certificate_unfit', { reason });
  };
  if (leaf === undefined) return refuse('no certificate was answered');
  const certificate: X509Certificate = readCertificate(leaf);
  if (!certificate.checkPrivateKey(keyPair.privateKey)) refuse('it is for another key');
  for (const name of names.dnsNames) if (certificate.checkHost(name) === undefined) refuse(`it lacks the name ${name}`);
  for (const ip of names.ipAddresses) if (certificate.checkIP(ip) === undefined) refuse(`it lacks the address ${ip}`);
  const notAfter = certificate.validToDate.getTime();
  if (notAfter <= now) refuse('it has already expired');
  return notAfter;
}
