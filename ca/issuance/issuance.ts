import { hash } from 'node:crypto';
import type { Clock } from '../../src/core/clock.ts';
import { SealwrightError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import { opensslNames } from '../../src/pki/check-issued.ts';
import { parseCsr, type Csr } from '../../src/pki/csr.ts';
import { encodePem } from '../../src/pki/pem.ts';
import { buildLeafTbs } from '../../src/pki/profile.ts';
import { newSerial } from '../../src/pki/serial.ts';
import { validityFor } from '../../src/pki/validity.ts';
import type { Caller } from '../authenticators/authenticator.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Issuer } from './issuer.ts';
import { lifetimeOf, lifetimeOfRenewal, type LifetimePolicy } from './lifetime.ts';
import type { RefusalLedger } from './refusal-ledger.ts';
import { signCertificate } from './sign-certificate.ts';

export interface IssuanceRequest {
  readonly caller: Caller;
  /** The identity that authorization granted: the caller's own, or one that it may act for. */
  readonly identity: SpiffeId;
  readonly csr: string;
  /** Milliseconds; zero or less asks for the default. */
  readonly requestedTtl: number;
}

export interface Issued {
  /** PEM, leaf first, the root bundle last. */
  readonly chain: readonly string[];
  /** Lower-case hex. */
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** The index of its ledger entry. */
  readonly index: number;
}

export interface IssuanceOptions {
  readonly issuer: () => Issuer;
  readonly ledger: Pick<Ledger, 'append'>;
  readonly refusals: Pick<RefusalLedger, 'record'>;
  readonly lifetimes: LifetimePolicy;
  /** How long a token's proof lasts for renewals by certificate, in milliseconds. */
  readonly tokenMaxAge: number;
  readonly clock: Pick<Clock, 'now'>;
  readonly randomBytes: (size: number) => Buffer;
  readonly logger: Logger;
}

/** How many serial numbers are drawn for one certificate before the call is given up. */
const MOST_SERIALS = 3;

/** How much of what a CSR asks for in vain is logged: names, and characters of each. */
const MOST_SHOWN = 4;
const LONGEST_SHOWN = 128;

export class Issuance {
  readonly #options: IssuanceOptions;

  constructor(options: IssuanceOptions) {
    this.#options = options;
  }

  /**
   * Issues one certificate, in the order of the design: read the CSR, check its signature and key, build what is to be
   * signed, lint it, sign, check the result by other code, make it durable, and only then answer.
   * A refusal is ledgered like an issuance, since the caller is authenticated.
   *
   * @throws SealwrightError what was wrong with the CSR, its key or the lifetime; `issuance_lint` and
   * `issued_certificate_wrong` where the CA itself is at fault; the ledger's own codes where the entry could not be made durable
   */
  async issue(request: IssuanceRequest): Promise<Issued> {
    let csr: Csr | undefined;
    try {
      csr = parseCsr(request.csr);
      csr.verifySignature();
      return await this.#signWithFreshSerial(request, csr);
    } catch (error) {
      await this.#refuse(request, csr, error);
      throw error;
    }
  }

  /**
   * 128 random bits do not repeat by chance: a serial that is taken says that randomness is broken, and somebody should
   * know. The certificate that carries it was never answered; another is made.
   */
  async #signWithFreshSerial(request: IssuanceRequest, csr: Csr): Promise<Issued> {
    for (let left = MOST_SERIALS - 1; ; left -= 1) {
      try {
        return await this.#sign(request, csr);
      } catch (error) {
        if (left === 0 || !(error instanceof SealwrightError) || error.code !== 'ledger_serial_taken') throw error;
        this.#options.logger.error('a serial number came up twice: check the randomness of this machine');
      }
    }
  }

  async #sign(request: IssuanceRequest, csr: Csr): Promise<Issued> {
    const { clock, randomBytes, ledger } = this.#options;
    const issuer = this.#options.issuer();
    const { caller, identity } = request;
    this.#reportIgnored(request, csr);

    const now = clock.now();
    const { notBefore, notAfter } = validityFor({
      now,
      lifetime: this.#lifetimeOf(request, now),
      issuer: { notBefore: issuer.template.notBefore, notAfter: issuer.notAfter },
    });
    const serial = newSerial(randomBytes);
    const leaf = {
      identity,
      spki: csr.spki,
      keyAlgorithm: csr.key.algorithm,
      serial,
      notBefore,
      notAfter,
      issuer: issuer.template,
    };
    const tbs = buildLeafTbs(leaf);
    const subjectAltName = opensslNames({ identity });
    const certificate = signCertificate({ tbs, expected: leaf, subjectAltName, publicKey: csr.key.keyObject, issuer });

    const { index } = await ledger.append({
      kind: 'issuance',
      serial: serial.toString('hex'),
      identity,
      certificate,
      issuerKeyId: issuer.template.keyIdentifier.toString('hex'),
      notBefore,
      notAfter,
      caller: {
        identity: caller.identity,
        method: caller.method,
        credential: caller.credential,
        tokenAuthenticatedAt: caller.tokenAuthenticatedAt,
        pod: caller.pod,
        serviceAccountUid: caller.serviceAccountUid,
        node: caller.node?.name,
      },
      csrSha256: sha256(csr.der),
      spkiSha256: sha256(csr.spki),
      requestedTtl: request.requestedTtl > 0 ? request.requestedTtl : undefined,
    });
    return {
      chain: [encodePem('CERTIFICATE', certificate), ...issuer.answeredChain],
      serial: serial.toString('hex'),
      notBefore,
      notAfter,
      index,
    };
  }

  #lifetimeOf({ caller, requestedTtl }: IssuanceRequest, now: number): number {
    const { lifetimes, tokenMaxAge } = this.#options;
    const lifetime = lifetimeOf(requestedTtl, lifetimes);
    if (caller.method !== 'svid') return lifetime;
    return lifetimeOfRenewal(lifetime, { now, provenUntil: caller.tokenAuthenticatedAt + tokenMaxAge });
  }

  /** Names, extensions and CA:TRUE asked for in a CSR have no effect, as with Istio; an operator may want to know. */
  #reportIgnored(request: IssuanceRequest, csr: Csr): void {
    const { asked } = csr;
    const own = `URI:${request.identity.toString()}`;
    const names = asked.subjectAltNames.filter((name) => name !== own);
    if (names.length === 0 && !asked.ca && asked.extensionOids.length <= 1 && !asked.subject) return;
    this.#options.logger.info('the CSR asks for what only authentication can give: ignored', {
      identity: request.identity.toString(),
      subject: asked.subject?.slice(0, LONGEST_SHOWN),
      // A few are enough to find who made the CSR; all of them could be its 64 KiB.
      names: names.slice(0, MOST_SHOWN).map((name) => name.slice(0, LONGEST_SHOWN)),
      moreNames: Math.max(0, names.length - MOST_SHOWN) || undefined,
      extensions: asked.extensionOids.slice(0, MOST_SHOWN),
      ca: asked.ca,
    });
  }

  async #refuse(request: IssuanceRequest, csr: Csr | undefined, error: unknown): Promise<void> {
    const { refusals, logger } = this.#options;
    const known = error instanceof SealwrightError;
    const code = known ? error.code : 'internal';
    const reason = error instanceof Error ? error.message : String(error);
    logger.warn('issuance refused', { identity: request.identity.toString(), code, reason });
    // Where the ledger itself is what failed, a second try would only hide that.
    if (known && error.code.startsWith('ledger_')) return;
    await refusals.record({
      kind: 'refusal',
      identity: request.caller.identity,
      reason: code,
      detail: reason.slice(0, 512),
      csrSha256: csr === undefined ? undefined : sha256(csr.der),
    });
  }
}

function sha256(bytes: Buffer): string {
  return hash('sha256', bytes);
}
