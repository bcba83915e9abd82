import type { KeyObject } from 'node:crypto';
import type { TrustDomain } from '../identity/trust-domain.ts';
import { createKeyPair, type KeyPair } from './keys.ts';
import { signingAlgorithmOf, signingKeyOf, verifyingKeyOf, x509 } from './x509-library.ts';

/** Istio's root lives as long, and a rotation is a planned act (design section 8). Milliseconds. */
export const ROOT_LIFETIME = 3_650 * 86_400_000;

/** How far a certificate begins in the past, so that a verifier whose clock is behind takes it. Istio's figure, in ms. */
export const BACKDATE = 120_000;

/** A CA certificate and the key that signs in its name. */
export interface Authority {
  /** DER. */
  readonly certificate: Buffer;
  readonly privateKey: KeyObject;
}

interface Terms {
  /** Wall time in milliseconds; certificates count whole seconds. */
  readonly notBefore: number;
  /** Wall time in milliseconds. */
  readonly notAfter: number;
  /** A positive number of at most 20 octets (RFC 5280 4.1.2.2), unique for the issuer. */
  readonly serial: Buffer;
}

export interface RootRequest extends Terms {
  readonly trustDomain: TrustDomain;
  /** The key to go on with when a root is renewed: same key and same subject, so that old leaves stay valid. */
  readonly keyPair?: KeyPair;
}

/**
 * Makes a self-signed root: P-256, `O=<trust domain>`, the SPIFFE ID of the trust domain (X509-SVID 3.2), keyCertSign
 * and cRLSign: Istio's own root lacks the latter, so that strict verifiers refuse its CRLs.
 */
export async function createRoot({ trustDomain, keyPair, ...terms }: RootRequest): Promise<Authority> {
  const { publicKey, privateKey } = keyPair ?? (await createKeyPair());
  const name = new x509.Name([{ O: [trustDomain] }]);
  const extensions = await authorityExtensions({ trustDomain, publicKey, pathLength: undefined });
  const certificate = await sign({ terms, subject: name, issuer: name, publicKey, privateKey, extensions });
  return { certificate, privateKey };
}

export interface IntermediateRequest extends Terms {
  readonly issuer: Authority;
  readonly trustDomain: TrustDomain;
  /** The CN. It tells the intermediate from its issuer: with one name for both, path validation takes it for self-issued. */
  readonly name: string;
  /** How many further intermediates may follow; none unless said otherwise. */
  readonly pathLength?: number;
  readonly keyPair?: KeyPair;
}

/** Makes a CA that signs under another one, ending no later than that one. */
export async function createIntermediate(request: IntermediateRequest): Promise<Authority> {
  const { issuer, trustDomain, name, pathLength = 0, keyPair, ...terms } = request;
  const { publicKey, privateKey } = keyPair ?? (await createKeyPair());
  const extensions = await authorityExtensions({ trustDomain, publicKey, pathLength });
  const subject = new x509.Name([{ O: [trustDomain] }, { CN: [name] }]);
  return { certificate: await signUnder(issuer, { terms, subject, publicKey, extensions }), privateKey };
}

export interface ServerCertificateRequest extends Terms {
  readonly issuer: Authority;
  readonly publicKey: KeyObject;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/**
 * Makes a certificate for one of Sealwright's own servers: DNS names and addresses, serverAuth alone and no SPIFFE ID,
 * so that it can never pass for a workload. No caller of the CA can ask for this profile. DER.
 */
export async function createServerCertificate(request: ServerCertificateRequest): Promise<Buffer> {
  const { issuer, publicKey, dnsNames, ipAddresses, ...terms } = request;
  const names: x509.JsonGeneralNames = [
    ...dnsNames.map((value) => ({ type: x509.DNS, value }) as const),
    ...ipAddresses.map((value) => ({ type: x509.IP, value }) as const),
  ];
  const usages =
    publicKey.asymmetricKeyType === 'rsa'
      ? x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment
      : x509.KeyUsageFlags.digitalSignature;
  const extensions = [
    new x509.KeyUsagesExtension(usages, true),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
    new x509.BasicConstraintsExtension(false, undefined, true),
    await x509.SubjectKeyIdentifierExtension.create(verifyingKeyOf(publicKey)),
    // The subject is empty, and then the names are critical (RFC 5280 4.2.1.6).
    new x509.SubjectAlternativeNameExtension(names, true),
  ];
  return signUnder(issuer, { terms, subject: new x509.Name([]), publicKey, extensions });
}

interface AuthorityFacts {
  readonly trustDomain: TrustDomain;
  readonly publicKey: KeyObject;
  readonly pathLength: number | undefined;
}

async function authorityExtensions({ trustDomain, publicKey, pathLength }: AuthorityFacts): Promise<x509.Extension[]> {
  return [
    new x509.BasicConstraintsExtension(true, pathLength, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    await x509.SubjectKeyIdentifierExtension.create(verifyingKeyOf(publicKey)),
    new x509.SubjectAlternativeNameExtension([{ type: x509.URL, value: `spiffe://${trustDomain}` }]),
  ];
}

interface ToBeSigned {
  readonly terms: Terms;
  readonly subject: x509.Name;
  readonly publicKey: KeyObject;
  readonly extensions: readonly x509.Extension[];
}

/** Signs in the name of `issuer`: its subject byte for byte, its key identifier, and never past its end. */
async function signUnder(issuer: Authority, { terms, subject, publicKey, extensions }: ToBeSigned): Promise<Buffer> {
  const parent = new x509.X509Certificate(issuer.certificate);
  const keyId = parent.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
  return sign({
    terms: { ...terms, notAfter: Math.min(terms.notAfter, parent.notAfter.getTime()) },
    subject,
    issuer: parent.subjectName,
    publicKey,
    privateKey: issuer.privateKey,
    extensions: keyId === undefined ? extensions : [...extensions, new x509.AuthorityKeyIdentifierExtension(keyId)],
  });
}

async function sign(
  request: ToBeSigned & { readonly issuer: x509.Name; readonly privateKey: KeyObject },
): Promise<Buffer> {
  const { terms, subject, issuer, publicKey, privateKey, extensions } = request;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: terms.serial.toString('hex'),
    notBefore: new Date(terms.notBefore),
    notAfter: new Date(terms.notAfter),
    subject,
    issuer,
    publicKey: verifyingKeyOf(publicKey),
    signingKey: signingKeyOf(privateKey),
    signingAlgorithm: signingAlgorithmOf(privateKey),
    extensions: [...extensions],
  });
  return Buffer.from(certificate.rawData);
}
