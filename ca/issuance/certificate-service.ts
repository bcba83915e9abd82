import { ERRORS, SealwrightError, reasonOf, type ErrorCode, type ErrorFields } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import type { SpiffeId } from '../../src/identity/spiffe-id.ts';
import type { Authentication } from '../authenticators/authenticate-in-order.ts';
import type { Caller, NotGranted } from '../authenticators/authenticator.ts';
import type { Credentials } from '../authenticators/credentials.ts';
import type { NodeAuthorizer } from '../authenticators/node-authorizer.ts';
import type { IssuanceMetrics } from './issuance-metrics.ts';
import type { Issuance } from './issuance.ts';

/** One CreateCertificate call, as the wire brought it. */
export interface CertificateCall {
  readonly credentials: Credentials;
  readonly csr: string;
  /** Seconds; zero or less asks for the default. An int64 on the wire, so it may be beyond what a number holds. */
  readonly validitySeconds: bigint;
  /** `ImpersonatedIdentity` of the request's metadata; empty where the caller asks for itself. */
  readonly impersonatedIdentity: string;
  /** `ClusterID` of the call's metadata. */
  readonly clusterId: string | undefined;
}

/** A caller that did not get what it asked for before a CSR was looked at. */
export interface Refusal {
  /** A code of the table of errors. */
  readonly code: string;
  /** For the operator: what was wanted and what came. */
  readonly reason: string;
  /** Set only where the identity was proven and is refused all the same. */
  readonly identity: SpiffeId | undefined;
  readonly remoteAddress: string;
}

export interface CertificateServiceOptions {
  readonly authenticate: Authentication;
  /** Who may ask for others. */
  readonly authorizeNode: NodeAuthorizer;
  /** A name for a call that is refused: the caller gets it in the trailing metadata, log and ledger have it too. */
  readonly newCallId: () => string;
  readonly issuance: Pick<Issuance, 'issue'>;
  /** Told of every refused caller: proven ones are ledgered by name, the rest only counted. */
  readonly onRefused: (refusal: Refusal) => void;
  /** Told of every proven caller whose certificate was not issued. Must not wait and not throw. */
  readonly onFailed?: (caller: Caller, error: SealwrightError) => void;
  readonly metrics: IssuanceMetrics;
  readonly logger: Logger;
}

/** The longest lifetime that a call can carry into the arithmetic, in seconds: a century, above any allowed maximum. */
const LONGEST_VALIDITY = 100n * 366n * 86_400n;

/**
 * `istio.v1.auth.IstioCertificateService/CreateCertificate`, without its transport.
 * Order, status and text are Istio's: count the CSR, authenticate, authorize, sign (istio-ca 4).
 *
 * @throws SealwrightError whose row says the gRPC status; the text for the caller is `messageForCaller`'s
 */
export async function createCertificate(
  call: CertificateCall,
  options: CertificateServiceOptions,
): Promise<readonly string[]> {
  const { issuance, metrics, logger } = options;
  metrics.csrs.add();
  const { caller, identity } = await authorized(call, options);
  try {
    const { chain } = await issuance.issue({
      caller,
      identity,
      csr: call.csr,
      requestedTtl: requestedTtl(call.validitySeconds),
    });
    metrics.issued.add();
    return chain;
  } catch (error) {
    countSignError(error, metrics);
    const failure =
      error instanceof SealwrightError ? error : new SealwrightError('issuance_failed', {}, { cause: error });
    if (failure !== error) {
      logger.error('an issuance failed', { identity: identity.toString(), reason: reasonOf(error) });
    }
    options.onFailed?.(caller, failure);
    throw failure;
  }
}

/**
 * The text that goes out with a status. Callers who proved nothing learn nothing but that; the log has the reason, and
 * the trailing metadata a short code by which an operator finds it.
 */
export function messageForCaller(error: SealwrightError): string {
  if (error.code === 'impersonation_not_allowed') return 'request impersonation authentication failure';
  if (error.code === 'authentication_unavailable') return 'request authentication is not available now';
  if (error.code === 'impersonation_not_yet' || error.code === 'pods_not_read') {
    return 'request impersonation authentication is not available now';
  }
  if (error.facts.grpc === 'UNAUTHENTICATED') return 'request authenticate failure';
  // Istio's own sentence about a lifetime, for those who search logs for it.
  const reason = error.code === 'ttl_too_long' ? error.fields['reason'] : undefined;
  return `CSR signing error (${reason ?? error.message})`;
}

/** Who asks, and for whom: for itself, or for a workload on its node. */
async function authorized(
  call: CertificateCall,
  options: CertificateServiceOptions,
): Promise<{ readonly caller: Caller; readonly identity: SpiffeId }> {
  const outcome = await options.authenticate(call.credentials);
  if (outcome.kind !== 'granted') throw refusalOf(outcome, call, options);
  const { caller } = outcome;
  if (call.impersonatedIdentity === '') return { caller, identity: caller.identity };
  try {
    const { impersonatedIdentity: asked, clusterId } = call;
    return { caller, identity: options.authorizeNode({ caller, asked, clusterId }) };
  } catch (error) {
    if (!(error instanceof SealwrightError)) throw error;
    throw impersonationRefused(error, { caller, call, options });
  }
}

function impersonationRefused(
  { code, message }: SealwrightError,
  about: {
    readonly caller: Caller;
    readonly call: CertificateCall;
    readonly options: CertificateServiceOptions;
  },
): SealwrightError {
  const { caller, call, options } = about;
  const { metrics, logger, newCallId, onRefused } = options;
  const { remoteAddress } = call.credentials;
  const callId = newCallId();
  const identity = caller.identity;
  logger.warn('an impersonation was refused', {
    code,
    reason: message,
    call: callId,
    caller: identity.toString(),
    credential: caller.credential,
    from: remoteAddress,
  });
  if (code === 'impersonation_not_allowed') metrics.authenticationFailures.add();
  // What was asked too early is ledgered too: otherwise an agent could try every identity once and leave no trace.
  if (code !== 'pods_not_read') onRefused({ code, reason: `${message} (call ${callId})`, identity, remoteAddress });
  // A new one, without the reason: that is for the operator of the CA.
  return refused(code, callId);
}

function refusalOf(
  outcome: NotGranted,
  { credentials: { remoteAddress } }: CertificateCall,
  { metrics, onRefused, logger, newCallId }: CertificateServiceOptions,
): SealwrightError {
  const { kind, by, code, reason, identity } = outcome;
  const call = newCallId();
  if (kind === 'unavailable') {
    logger.warn('a caller could not be authenticated', { by, code, reason, call });
    // No refusal: the caller is to try again, and what it holds goes on being good meanwhile.
    return refused('authentication_unavailable', call, { by });
  }
  metrics.authenticationFailures.add();
  const from = remoteAddress;
  logger.info('a caller was refused', { by, code, reason, identity: identity?.toString(), from, call });
  onRefused({ code, reason: `${reason} (call ${call})`, identity, remoteAddress });
  // Whatever the reason is elsewhere in the table, here it means: not authenticated.
  return refused(ERRORS[code].grpc === 'UNAUTHENTICATED' ? code : 'caller_refused', call);
}

/** `call` goes out in the trailing metadata, beside the code. */
function refused(code: ErrorCode, call: string, fields: ErrorFields = {}): SealwrightError {
  return new SealwrightError(code, { ...fields, call });
}

/** Milliseconds. A huge int64 is cut to what is above every maximum, so that it is refused and never wraps round. */
function requestedTtl(validitySeconds: bigint): number {
  if (validitySeconds <= 0n) return 0;
  return Number(validitySeconds < LONGEST_VALIDITY ? validitySeconds : LONGEST_VALIDITY) * 1_000;
}

function countSignError(error: unknown, metrics: IssuanceMetrics): void {
  const code = error instanceof SealwrightError ? error.code : 'issuance_failed';
  if (code.startsWith('csr_') || code === 'pem_invalid') {
    metrics.csrParsingErrors.add();
    metrics.signErrors.of('CSR_ERROR').add();
  } else if (code.startsWith('ttl_')) metrics.signErrors.of('TTL_ERROR').add();
  else if (code === 'validity_impossible' || code.startsWith('ledger_')) metrics.signErrors.of('CA_NOT_READY').add();
  else
    metrics.signErrors
      .of(code === 'issuance_lint' || code === 'issued_certificate_wrong' ? 'CERT_GEN_ERROR' : 'UNKNOWN')
      .add();
}
