import type { Clock } from '../core/clock.ts';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import type { TrustDomain } from '../identity/trust-domain.ts';
import { createCsr } from '../pki/csr-writer.ts';
import { createKeyPair, encodePrivateKey } from '../pki/keys.ts';
import { decodePem } from '../pki/pem.ts';
import { openChannel } from '../wire/grpc-client.ts';
import { IstioCertificateService } from '../wire/services.ts';
import { credentialsFor, type CaAccess } from './ca-credentials.ts';
import { HeldIdentity } from './held-identity.ts';

export interface IdentityRequest {
  readonly ca: CaAccess;
  readonly trustDomain: TrustDomain;
  /** Milliseconds. */
  readonly lifetime: number;
  /** What is held already; it authenticates the call where it still can. */
  readonly held: HeldIdentity | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** A busy CA answers within a second; behind it stands the next try. Milliseconds. */
const ANSWER_TIMEOUT = 10_000;

/**
 * Obtains one certificate from the CA for a key that is made here and now, and proves the answer before it is given
 * back. One try: token and root file are read for it, and its connection is its own, so that nothing stale is tried
 * again.
 *
 * @throws SealwrightError `token_file_unreadable`, `ca_root_unreadable`, `ca_unreachable`, `ca_refused`,
 * `identity_unproven`, `call_cancelled`
 */
export async function obtainIdentity(request: IdentityRequest): Promise<HeldIdentity> {
  const { ca, trustDomain, lifetime, held, clock, signal } = request;
  const { tls, headers } = await credentialsFor(ca, held, clock.now());
  const keyPair = await createKeyPair();
  const channel = openChannel({ address: ca.address, tls, clock });
  try {
    const csr = createCsr({ keyPair, identity: tls.identity === undefined ? undefined : held?.identity });
    const validityDuration = BigInt(Math.ceil(lifetime / 1_000));
    const { certChain } = await channel.unary(
      IstioCertificateService.method.createCertificate,
      { csr, validityDuration },
      { headers, timeout: ANSWER_TIMEOUT, signal },
    );
    const now = clock.now();
    return prove(certChain, { keyPem: encodePrivateKey(keyPair.privateKey), trustDomain, receivedAt: now, now });
  } finally {
    channel.close();
  }
}

/** Istio's form: leaf, intermediates, and last the whole root bundle as one element. */
function prove(
  answer: readonly string[],
  own: { keyPem: string; trustDomain: TrustDomain; receivedAt: number; now: number },
): HeldIdentity {
  const rootsPem = answer.at(-1) ?? '';
  const chainPem = answer.slice(0, -1).join('');
  try {
    if (decodePem(rootsPem, 'CERTIFICATE').length === 0) throw new Error('it names no root');
    return HeldIdentity.prove({ ...own, chainPem, rootsPem });
  } catch (cause) {
    if (cause instanceof SealwrightError && cause.code === 'identity_unproven') throw cause;
    throw new SealwrightError('identity_unproven', { reason: reasonOf(cause) }, { cause });
  }
}
