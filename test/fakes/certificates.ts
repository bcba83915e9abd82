import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { createKeyPair, type KeyPair } from '../../src/pki/keys.ts';
import { signingAlgorithmOf, signingKeyOf, verifyingKeyOf } from '../../src/pki/x509-library.ts';

/** A certificate and its key, for tests that need one that Sealwright itself would never make. */
export interface MadeCertificate {
  readonly certificate: Buffer;
  readonly privateKey: KeyPair['privateKey'];
  readonly keyPair: KeyPair;
}

export interface CertificateRecipe {
  /** Such as `O=acme, CN=one`. */
  readonly subject: string;
  /** Self-signed where it is missing. */
  readonly issuer?: MadeCertificate;
  readonly keyPair?: KeyPair;
  readonly extensions?: readonly x509.Extension[];
  readonly notBefore?: number;
  readonly notAfter?: number;
  /** A hash other than the one that fits the signer's key. */
  readonly hash?: 'SHA-1';
}

const START = Date.parse('2026-01-01T00:00:00Z');
let serial = 1;

/** Makes any certificate one asks for, a hundred days around the time at which the fake clock stands. */
export async function makeCertificate(recipe: CertificateRecipe): Promise<MadeCertificate> {
  const keyPair = recipe.keyPair ?? (await createKeyPair());
  const signer = recipe.issuer?.keyPair ?? keyPair;
  const issuer = recipe.issuer && new x509.X509Certificate(recipe.issuer.certificate).subjectName;
  serial += 1;
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: serial.toString(16).padStart(4, '0'),
    subject: recipe.subject,
    issuer: issuer ?? recipe.subject,
    notBefore: new Date(recipe.notBefore ?? START - 50 * 86_400_000),
    notAfter: new Date(recipe.notAfter ?? START + 50 * 86_400_000),
    publicKey: verifyingKeyOf(keyPair.publicKey),
    signingKey: signingKeyOf(signer.privateKey),
    signingAlgorithm: { ...signingAlgorithmOf(signer.privateKey), ...(recipe.hash && { hash: recipe.hash }) },
    // RFC 5280 4.2.1.2: a CA has one; without it nothing that it signs could name its key.
    extensions: [
      ...(recipe.extensions ?? caExtensions()),
      await x509.SubjectKeyIdentifierExtension.create(verifyingKeyOf(keyPair.publicKey)),
    ],
  });
  return { certificate: Buffer.from(made.rawData), privateKey: keyPair.privateKey, keyPair };
}

/** What makes a CA: basicConstraints and keyCertSign. */
export function caExtensions(pathLength?: number): x509.Extension[] {
  return [
    new x509.BasicConstraintsExtension(true, pathLength, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
  ];
}

export function uriNames(...uris: string[]): x509.Extension {
  return new x509.SubjectAlternativeNameExtension(uris.map((value) => ({ type: x509.URL, value })));
}

export { x509 };
