import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto as never);

const KEY = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export interface Issued {
  /** PEM, leaf first, without the root. */
  readonly chain: string;
  readonly key: string;
  readonly der: Buffer;
}

export interface TestAuthority {
  /** Its distinguished name, such as `O=test-1a2b3c4d`. */
  readonly name: string;
  readonly root: string;
  readonly der: Buffer;
  issue(names: { uri?: string; dns?: string[]; ip?: string[]; expired?: boolean }): Promise<Issued>;
  /** An authority below this one. */
  intermediate(): Promise<TestAuthority>;
}

export interface AuthorityOptions {
  readonly parent?: { chain: string; certificate: x509.X509Certificate; keys: webcrypto.CryptoKeyPair };
  /** Default a new one each time. */
  readonly name?: string;
}

/** A throw-away authority, made by other code than the one under test. */
export async function createTestAuthority(options: AuthorityOptions = {}): Promise<TestAuthority> {
  const { parent, name = `O=test-${serial().slice(0, 8)}` } = options;
  const keys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.create({
    subject: name,
    issuer: parent === undefined ? name : parent.certificate.subject,
    signingKey: (parent?.keys ?? keys).privateKey as never,
    publicKey: keys.publicKey as never,
    signingAlgorithm: KEY,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    serialNumber: serial(),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const own = parent === undefined ? '' : `${certificate.toString('pem')}\n${parent.chain}`;
  return {
    name,
    root: `${certificate.toString('pem')}\n`,
    der: Buffer.from(certificate.rawData),
    intermediate: () => createTestAuthority({ parent: { chain: own, certificate, keys } }),
    issue: async ({ uri, dns = [], ip = [], expired = false }) => {
      const leafKeys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
      const leaf = await x509.X509CertificateGenerator.create({
        issuer: certificate.subject,
        signingKey: keys.privateKey as never,
        publicKey: leafKeys.publicKey as never,
        signingAlgorithm: KEY,
        notBefore: new Date(Date.now() - 120_000),
        notAfter: new Date(Date.now() + (expired ? -60_000 : 600_000)),
        serialNumber: serial(),
        extensions: [
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
          new x509.SubjectAlternativeNameExtension(
            [
              ...(uri === undefined ? [] : [{ type: 'url' as const, value: uri }]),
              ...dns.map((value) => ({ type: 'dns' as const, value })),
              ...ip.map((value) => ({ type: 'ip' as const, value })),
            ],
            true,
          ),
        ],
      });
      const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', leafKeys.privateKey)).toString('base64');
      return {
        chain: `${leaf.toString('pem')}\n${own}`,
        key: `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/.{64}/g, '$&\n').trimEnd()}\n-----END PRIVATE KEY-----\n`,
        der: Buffer.from(leaf.rawData),
      };
    },
  };
}

/** A certificate that nobody signed but itself. */
export async function selfSigned(uri: string): Promise<Issued> {
  const keys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'O=nobody',
    keys: keys as never,
    signingAlgorithm: KEY,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 600_000),
    serialNumber: serial(),
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'url', value: uri }], true)],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    chain: `${certificate.toString('pem')}\n`,
    key: `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/.{64}/g, '$&\n').trimEnd()}\n-----END PRIVATE KEY-----\n`,
    der: Buffer.from(certificate.rawData),
  };
}

function serial(): string {
  return `4${Buffer.from(webcrypto.getRandomValues(new Uint8Array(15))).toString('hex')}0`.slice(0, 32);
}
