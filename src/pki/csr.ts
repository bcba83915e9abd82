import { SealwrightError } from '../core/errors.ts';
import { DerReader } from './der/reader.ts';
import { constructedContext, TAG } from './der/tags.ts';
import { isEmptyName, readName, textOfName } from './distinguished-name.ts';
import { type Extensions, readExtensions } from './extensions.ts';
import { textOfGeneralName } from './general-name.ts';
import { checkPublicKey } from './key-policy.ts';
import { OID } from './oids.ts';
import { decodeSinglePem } from './pem.ts';
import { parsePublicKey, type PublicKeyInfo } from './public-key.ts';
import { decodeAlgorithmIdentifier, verifySignature } from './signature-algorithm.ts';

/**
 * What a certification request says beyond its key. It is reported, so that a person can see what a workload thinks
 * of itself; nothing is ever made of it (invariant 1).
 */
export interface AskedFor {
  readonly subject: string | undefined;
  /** In text: `URI:spiffe://…`, `DNS:…`, `IP:…`. */
  readonly subjectAltNames: readonly string[];
  readonly extensionOids: readonly string[];
  /** Whether it asks to be a CA. */
  readonly ca: boolean;
}

/** A certification request (PKCS #10, RFC 2986) that is well-formed; whether it is genuine, `verifySignature` says. */
export interface Csr {
  readonly der: Buffer;
  /** SubjectPublicKeyInfo, DER: the one thing that is taken from a request. */
  readonly spki: Buffer;
  readonly key: PublicKeyInfo;
  readonly asked: AskedFor;
  /**
   * Checks that whoever made the request holds the private key, and that the key is strong enough to say so.
   *
   * @throws SealwrightError `csr_key_weak`, `csr_signature`
   */
  verifySignature(): void;
}

/**
 * Reads a request as the Istio CA API sends it: one PEM block and nothing else.
 *
 * @throws SealwrightError `pem_invalid`, `csr_invalid`, `csr_key_weak`
 */
export function parseCsr(pem: string): Csr {
  return parseCsrDer(decodeSinglePem(pem, 'CERTIFICATE REQUEST'));
}

/** @throws SealwrightError `csr_invalid`, `csr_key_weak` for a kind of key that no certificate may carry */
export function parseCsrDer(der: Buffer): Csr {
  try {
    return readCsr(der);
  } catch (cause) {
    if (!(cause instanceof SealwrightError)) throw cause;
    if (cause.code === 'public_key_unsupported') {
      throw new SealwrightError('csr_key_weak', { reason: `unsupported: ${cause.fields['got']}` }, { cause });
    }
    throw new SealwrightError('csr_invalid', cause.fields, { cause });
  }
}

function readCsr(der: Buffer): Csr {
  const outer = DerReader.over(der);
  const request = outer.sequence();
  outer.end();
  const signedStart = request.position;
  const info = request.sequence();
  const signed = request.since(signedStart);
  const algorithmStart = request.position;
  request.constructed(TAG.sequence).walk();
  const algorithm = request.since(algorithmStart);
  const signature = request.octetsOfBitString();
  request.end();

  if (info.smallInteger() !== 0) malformed('the version is not 1');
  const subject = readName(info);
  const keyStart = info.position;
  info.constructed(TAG.sequence).walk();
  const spki = info.since(keyStart);
  const extensions = readAttributes(info);
  info.end();
  const key = parsePublicKey(spki);

  return {
    der,
    spki,
    key,
    asked: askedFor(subject, extensions),
    verifySignature: () => {
      checkPublicKey(key);
      const known = decodeAlgorithmIdentifier(algorithm);
      if (known === undefined) refuseSignature('its algorithm is not one that is accepted');
      else if (!genuine(() => verifySignature(known, { key, data: signed, signature }))) {
        refuseSignature('the key that it asks to certify did not make it');
      }
    },
  };
}

/** RFC 2986 4.1: `[0] IMPLICIT SET OF Attribute`. Only the extension request (RFC 2985 5.4.2) is looked into. */
function readAttributes(info: DerReader): Extensions | undefined {
  let extensions: Extensions | undefined;
  const attributes = info.constructed(constructedContext(0));
  const seen = new Set<string>();
  let last: Buffer | undefined;
  while (!attributes.atEnd) {
    const start = attributes.position;
    const attribute = attributes.sequence();
    const encoded = attributes.since(start);
    if (last !== undefined && Buffer.compare(last, encoded) > 0) malformed('the attributes are not sorted');
    last = encoded;
    const oid = attribute.oid();
    if (seen.has(oid)) malformed(`the attribute ${oid} stands twice`);
    seen.add(oid);
    const values = attribute.setOf();
    attribute.end();
    if (values.atEnd) malformed(`the attribute ${oid} has no value`);
    if (oid === OID.extensionRequest) {
      extensions = readExtensions(values);
      values.end();
    }
    values.walk();
  }
  return extensions;
}

function askedFor(subject: Buffer, extensions: Extensions | undefined): AskedFor {
  return {
    subject: isEmptyName(subject) ? undefined : textOfName(subject),
    subjectAltNames: extensions?.subjectAltName?.names.map(textOfGeneralName) ?? [],
    extensionOids: extensions?.all.map(({ oid }) => oid) ?? [],
    ca: extensions?.basicConstraints?.ca ?? false,
  };
}

/** The import refuses points off the curve, and OpenSSL may refuse what is no signature at all: neither is genuine. */
function genuine(check: () => boolean): boolean {
  try {
    return check();
  } catch {
    return false;
  }
}

function refuseSignature(reason: string): never {
  throw new SealwrightError('csr_signature', { reason });
}

function malformed(reason: string): never {
  throw new SealwrightError('csr_invalid', { reason });
}
