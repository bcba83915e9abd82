import type { Clock } from '../core/clock.ts';
import type { WorkloadName } from '../identity/spiffe-id.ts';
import { parseJwt, type Jwt } from './jwt.ts';
import type { KeySource } from './key-source.ts';
import { isObjectName, parseServiceAccountSubject } from './service-account-subject.ts';
import { isJsonObject, member, type JsonObject } from './strict-json.ts';
import {
  checkAudiences,
  checkIssuer,
  checkTimes,
  DEFAULT_LEEWAY,
  readText,
  refuseClaim,
  type TokenTimes,
} from './token-claims.ts';
import { verifyJwt } from './verify-jwt.ts';

/** A Kubernetes object that a token is bound to. */
export interface BoundObject {
  readonly name: string;
  readonly uid: string;
}

/** What a verified service account token says. */
export interface ServiceAccountClaims extends WorkloadName, TokenTimes {
  readonly serviceAccountUid: string;
  /** The pod that the token ends with, where it is bound to one. */
  readonly pod: BoundObject | undefined;
  /** The node of that pod, where the API server tells (Kubernetes 1.30 and later). */
  readonly node: BoundObject | undefined;
  /** The token's own name (`jti`): safe to log, as it proves nothing. */
  readonly id: string | undefined;
  readonly audiences: readonly string[];
}

export interface ServiceAccountTokenOptions {
  /** Exactly what `iss` must say. */
  readonly issuer: string;
  /** One of these must be in `aud`. */
  readonly audiences: readonly string[];
  readonly keys: KeySource;
  readonly clock: Pick<Clock, 'now'>;
  /** Milliseconds; one minute if not given. */
  readonly leeway?: number | undefined;
}

/**
 * Verifies a bound service account token by the keys of its issuer. It cannot know whether the pod or the account
 * has been deleted since: a TokenReview can.
 *
 * @throws SealwrightError `token_*` telling exactly what failed, or what the key source throws
 */
export async function validateServiceAccountToken(
  token: string | Jwt,
  { issuer, audiences, keys, clock, leeway = DEFAULT_LEEWAY }: ServiceAccountTokenOptions,
): Promise<ServiceAccountClaims> {
  const jwt = typeof token === 'string' ? parseJwt(token) : token;
  // The issuer first: another issuer's kid must not cause a fetch from ours. It is unverified until the next line.
  checkIssuer(jwt.claims, issuer);
  await verifyJwt(jwt, keys);
  const received = checkAudiences(jwt.claims, audiences);
  const account = readServiceAccount(jwt.claims);
  // Last, so that `token_expired` means that nothing else was wrong.
  return { ...account, ...checkTimes(jwt.claims, { clock, leeway }), audiences: received };
}

/**
 * Reads which service account, pod and node the claims name. `sub` and `kubernetes.io` must name the same account:
 * whoever of two readers looks at one of them only must not see another workload.
 *
 * @throws SealwrightError `token_claims`
 */
export function readServiceAccount(claims: JsonObject): Omit<ServiceAccountClaims, keyof TokenTimes | 'audiences'> {
  const account = parseServiceAccountSubject(readText(claims, 'sub') ?? '');
  if (account === undefined) {
    return refuseClaim('sub', 'is not system:serviceaccount:<namespace>:<service account>');
  }
  const kubernetes = member(claims, 'kubernetes.io');
  if (!isJsonObject(kubernetes)) return refuseClaim('kubernetes.io', 'is missing: no bound service account token');
  const serviceAccount = readBoundObject(kubernetes, 'serviceaccount');
  if (serviceAccount === undefined) return refuseClaim('kubernetes.io.serviceaccount', 'is missing');
  if (member(kubernetes, 'namespace') !== account.namespace) {
    return refuseClaim('kubernetes.io.namespace', 'is not the namespace that sub names');
  }
  if (serviceAccount.name !== account.serviceAccount) {
    return refuseClaim('kubernetes.io.serviceaccount.name', 'is not the service account that sub names');
  }
  return {
    ...account,
    serviceAccountUid: serviceAccount.uid,
    pod: readBoundObject(kubernetes, 'pod'),
    node: readBoundObject(kubernetes, 'node'),
    id: readText(claims, 'jti'),
  };
}

function readBoundObject(kubernetes: JsonObject, kind: string): BoundObject | undefined {
  const object = member(kubernetes, kind);
  if (object === undefined) return undefined;
  const path = `kubernetes.io.${kind}`;
  if (!isJsonObject(object)) return refuseClaim(path, 'is not an object');
  const [name, uid] = [readText(object, 'name', `${path}.name`), readText(object, 'uid', `${path}.uid`)];
  if (name === undefined || !isObjectName(name)) return refuseClaim(`${path}.name`, 'is not a Kubernetes name');
  if (uid === undefined) return refuseClaim(`${path}.uid`, 'is missing');
  return { name, uid };
}
