import 'reflect-metadata';
import { createHash, randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { IssuanceEntry, LedgerEntry } from '../../../ca/ledger/entry.ts';
import { SpiffeId } from '../../../src/identity/spiffe-id.ts';

export const CATALOG = SpiffeId.parse('spiffe://cluster.local/ns/shop/sa/catalog');
export const CHECKOUT = SpiffeId.parse('spiffe://cluster.local/ns/shop/sa/checkout');

const PLACEHOLDER = Buffer.alloc(16, 0x5a);
const NOT_BEFORE = Date.parse('2026-01-01T00:00:00Z');
const NOT_AFTER = Date.parse('2026-01-02T00:00:00Z');

export type MakeIssuance = (changes?: Partial<IssuanceEntry>) => IssuanceEntry;

/**
 * Makes issuances with certificates that OpenSSL parses, each with a serial of its own: one certificate is made for an
 * identity and its serial is replaced in the DER (so its signature is wrong, which no test here looks at).
 */
export async function createIssuanceMaker(
  identities: readonly SpiffeId[] = [CATALOG, CHECKOUT],
): Promise<MakeIssuance> {
  const templates = new Map<string, { certificate: Buffer; spkiSha256: string }>();
  for (const identity of identities) templates.set(String(identity), await createTemplate(identity));
  return (changes = {}) => {
    const identity = changes.identity ?? CATALOG;
    const template = templates.get(String(identity))!;
    const serial = Buffer.from(changes.serial ?? randomSerial(), 'hex');
    const certificate = Buffer.from(template.certificate);
    serial.copy(certificate, certificate.indexOf(PLACEHOLDER));
    return {
      kind: 'issuance',
      serial: serial.toString('hex'),
      identity,
      certificate,
      issuerKeyId: 'ab'.repeat(20),
      notBefore: NOT_BEFORE,
      notAfter: NOT_AFTER,
      caller: { identity, method: 'jwks', credential: 'jti:1', tokenAuthenticatedAt: NOT_BEFORE + 1 },
      csrSha256: 'cd'.repeat(32),
      spkiSha256: template.spkiSha256,
      ...changes,
    };
  };
}

export function refusal(detail = 'a refusal'): LedgerEntry {
  return { kind: 'refusal', identity: CATALOG, reason: 'csr_key_weak', detail };
}

/** 16 bytes, the first from 0x40 to 0x7f, so that DER needs neither padding nor shortening. */
function randomSerial(): string {
  const serial = randomBytes(16);
  serial[0] = 0x40 | (serial[0]! & 0x3f);
  return serial.toString('hex');
}

async function createTemplate(identity: SpiffeId): Promise<{ certificate: Buffer; spkiSha256: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: PLACEHOLDER.toString('hex'),
      notBefore: new Date(NOT_BEFORE),
      notAfter: new Date(NOT_AFTER),
      signingAlgorithm: algorithm,
      keys,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'url', value: String(identity) }], true)],
    },
    webcrypto,
  );
  const spki = Buffer.from(certificate.publicKey.rawData);
  return {
    certificate: Buffer.from(certificate.rawData),
    spkiSha256: createHash('sha256').update(spki).digest('hex'),
  };
}
