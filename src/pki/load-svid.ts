import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { SealwrightError } from '../core/errors.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import { decodePem } from './pem.ts';
import { isSameKey } from './same-key.ts';
import { type Finding, leafFindings, nameOfSvid, signingFindings } from './svid-rules.ts';

/** An X.509-SVID with its key, as a workload holds it. Not judged by any bundle: that is the peer's to do. */
export interface LoadedSvid {
  readonly identity: SpiffeId;
  /** The leaf first. */
  readonly chain: readonly Certificate[];
  readonly privateKey: KeyObject;
}

/**
 * Reads an SVID and its key from files: PEM certificates, leaf first, and an unencrypted PKCS #8 key; both may be in
 * one text, in either order. What does not fit together is refused here, where a person can see it, and not in some
 * handshake.
 *
 * @throws SealwrightError `pem_invalid`, `certificate_invalid`, `svid_invalid`, `svid_key_invalid`,
 * `public_key_unsupported`
 */
export function loadSvid(files: { readonly certificates: string; readonly key: string }): LoadedSvid {
  const chain = decodePem(files.certificates, 'CERTIFICATE').map(parseCertificate);
  const [leaf, ...signing] = chain;
  if (leaf === undefined) {
    throw new SealwrightError('pem_invalid', { expected: 'CERTIFICATE', reason: 'no certificate was found' });
  }
  const privateKey = readKey(files.key);
  const name = nameOfSvid(leaf);
  if ('finding' in name) return refuse(name.finding);
  const [finding] = [...leafFindings(leaf, name.identity), ...signing.flatMap(signingFindings)];
  if (finding !== undefined) refuse(finding);
  if (!isSameKey(leaf.key.keyObject, createPublicKey(privateKey))) {
    throw new SealwrightError('svid_key_invalid', { reason: 'the certificate carries another key' });
  }
  return { identity: name.identity, chain, privateKey };
}

function readKey(pem: string): KeyObject {
  const [der, ...more] = decodePem(pem, 'PRIVATE KEY');
  if (der === undefined) throw new SealwrightError('svid_key_invalid', { reason: 'no private key was found' });
  if (more.length > 0) throw new SealwrightError('svid_key_invalid', { reason: 'there is more than one private key' });
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } catch {
    // Not passed on as a cause: nobody can say what OpenSSL puts in its messages about a key.
    throw new SealwrightError('svid_key_invalid', { reason: 'it is not a PKCS #8 key' });
  }
}

function refuse({ rule, reason }: Finding): never {
  throw new SealwrightError('svid_invalid', { rule, reason });
}
