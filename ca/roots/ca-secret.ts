import { createHash } from 'node:crypto';
import { SealwrightError } from '../../src/core/errors.ts';
import type { ApiResource } from '../../src/kubernetes/api-resource.ts';
import { isRecord, type KubernetesObject } from '../../src/kubernetes/kubernetes-object.ts';
import { ISTIO_NAMES, namesOf, TLS_NAMES, type CaFile, type CaFiles, type FileNames } from './ca-files.ts';

export const SECRETS: ApiResource = { group: '', version: 'v1', kind: 'Secret', plural: 'secrets', namespaced: true };

export interface SecretPlace {
  readonly namespace: string;
  readonly name: string;
}

/** What istiod keeps its self-signed CA in: `istio-ca-secret`. It has no chain, and often says no root. */
const ISTIO_SELF_SIGNED = 'istio.io/ca-root';

/** Kubernetes takes no larger Secret. Bytes of one value in base64. */
const LARGEST_VALUE = 2 << 20;

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * The CA in a Secret: under Istio's names, as `cacerts` and `istio-ca-secret` have it, or of type kubernetes.io/tls.
 * Nothing of a value is in an error.
 *
 * @throws SealwrightError `ca_secret_unusable` with the Secret, the key and the reason
 */
export function readCaSecret(object: KubernetesObject, place: SecretPlace): CaFiles {
  const secret = nameOfSecret(place);
  const unusable = (reason: string): never => {
    throw new SealwrightError('ca_secret_unusable', { secret, reason });
  };
  const { data, type } = object.body;
  const values = isRecord(data) ? data : {};
  const names = namesIn(values, unusable);
  const text = (name: string): string => decode(values[name], (reason) => unusable(`its key ${name} ${reason}`));
  const file = (name: string): CaFile => ({ path: `${secret}, key ${name}`, text: text(name) });
  // A self-signed CA is its own root; istiod writes the other keys empty.
  const selfSigned = type === ISTIO_SELF_SIGNED && names === ISTIO_NAMES;
  const isThere = (name: string): boolean => values[name] !== undefined && values[name] !== '';
  const wanted = selfSigned ? [names.certificate, names.key] : namesOf(names);
  const missing = wanted.filter((name) => !isThere(name));
  if (missing.length > 0) return unusable(`it lacks ${missing.join(', ')}`);
  const hasChain = names.chain !== undefined && isThere(names.chain);
  return {
    certificate: file(names.certificate),
    key: file(names.key),
    roots: file(selfSigned && !isThere(names.roots) ? names.certificate : names.roots),
    chain: hasChain ? file(names.chain) : undefined,
  };
}

function namesIn(values: Readonly<Record<string, unknown>>, unusable: (reason: string) => never): FileNames {
  const [names, other] = [ISTIO_NAMES, TLS_NAMES].filter((set) => namesOf(set).some((name) => name in values));
  if (names === undefined) return unusable('it holds no key of a CA, such as ca-cert.pem and ca-key.pem');
  if (other !== undefined) return unusable('it holds a CA under two sets of names');
  return names;
}

function decode(value: unknown, refuse: (reason: string) => never): string {
  if (typeof value !== 'string') return refuse('is no text');
  if (value.length > LARGEST_VALUE) return refuse(`has ${value.length} bytes`);
  return BASE64.test(value) ? Buffer.from(value, 'base64').toString('utf8') : refuse('is not base64');
}

/** The body of a Secret with these texts. */
export function caSecretBody(
  place: SecretPlace,
  texts: Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> {
  const encoded = Object.entries(texts).map(([name, text]) => [name, Buffer.from(text).toString('base64')]);
  const labels = { 'app.kubernetes.io/managed-by': 'sealwright' };
  return { type: 'Opaque', metadata: { ...place, labels }, data: Object.fromEntries(encoded) as unknown };
}

/** By what a Secret is told from what it was: its CA, whatever else is in it. Says nothing of the key. */
export function fingerprintOf(object: KubernetesObject): string {
  const { data } = object.body;
  const values = isRecord(data) ? data : {};
  const parts = [ISTIO_NAMES, TLS_NAMES].flatMap(namesOf).map((name) => [name, values[name] ?? null]);
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** In errors and logs. */
export function nameOfSecret({ namespace, name }: SecretPlace): string {
  return `Secret ${namespace}/${name}`;
}
