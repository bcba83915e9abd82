import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY = 86_400_000;

/** Key, chain and roots as the sidecar takes them, and the leaf as DER. */
export interface TestIdentity {
  readonly identity: string;
  readonly keyPem: string;
  readonly chainPem: string;
  readonly rootsPem: string;
  readonly leaf: Buffer;
}

/** A root of a mesh that exists for one test. */
export class TestMesh {
  readonly rootPem: string;
  readonly #signer: x509.X509Certificate;
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #between: string;
  #serial = 1;

  private constructor(signer: x509.X509Certificate, keys: webcrypto.CryptoKeyPair, root = signer) {
    this.#signer = signer;
    this.#keys = keys;
    this.rootPem = root.toString('pem');
    this.#between = signer === root ? '' : `\n${signer.toString('pem')}`;
  }

  static async create(trustDomain = 'cluster.local'): Promise<TestMesh> {
    x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);
    const keys = await newKeys();
    const root = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: '01',
      name: `O=${trustDomain}`,
      notBefore: new Date(Date.now() - DAY),
      notAfter: new Date(Date.now() + DAY),
      keys: keys as never,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return new TestMesh(root, keys);
  }

  /** The same mesh, whose certificates are signed by an intermediate and bring it along. */
  async intermediate(): Promise<TestMesh> {
    const keys = await newKeys();
    this.#serial += 1;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: this.#serial.toString(16).padStart(4, '0'),
      subject: `${this.#signer.subject}, CN=intermediate`,
      issuer: this.#signer.subject,
      notBefore: new Date(Date.now() - DAY),
      notAfter: new Date(Date.now() + DAY),
      publicKey: keys.publicKey as never,
      signingKey: this.#keys.privateKey as never,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.AuthorityKeyIdentifierExtension.create(this.#keys.publicKey),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return new TestMesh(certificate, keys, new x509.X509Certificate(this.rootPem));
  }

  /** A certificate for `identity`, valid around now. */
  async issue(
    identity: string,
    { notAfter = Date.now() + DAY, notBefore }: { notAfter?: number; notBefore?: number } = {},
  ): Promise<TestIdentity> {
    const keys = await newKeys();
    this.#serial += 1;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: this.#serial.toString(16).padStart(4, '0'),
      subject: '',
      issuer: this.#signer.subject,
      notBefore: new Date(notBefore ?? Math.min(Date.now(), notAfter) - DAY),
      notAfter: new Date(notAfter),
      publicKey: keys.publicKey as never,
      signingKey: this.#keys.privateKey as never,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
        // Two roots of one trust domain bear one name: only the key identifier tells which of them signed.
        await x509.AuthorityKeyIdentifierExtension.create(this.#keys.publicKey),
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: identity }], true),
      ],
    });
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
    return {
      identity,
      keyPem: `-----BEGIN PRIVATE KEY-----\n${pkcs8.toString('base64').replaceAll(/(.{64})/g, '$1\n')}\n-----END PRIVATE KEY-----\n`,
      chainPem: `${certificate.toString('pem')}${this.#between}`,
      rootsPem: this.rootPem,
      leaf: Buffer.from(certificate.rawData),
    };
  }
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}
