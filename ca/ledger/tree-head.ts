import { createPublicKey, hash, sign, verify, type KeyObject } from 'node:crypto';
import {
  bytes,
  decodeCanonical,
  encodeCanonical,
  integer,
  oneOf,
  pattern,
  record,
  type Codec,
} from './canonical-json.ts';

/** What the log says of itself at one moment. */
export interface TreeHead {
  /** Who opened the ledger for writing, counted from 1: a later writer has a higher one. */
  readonly epoch: number;
  /** SHA-256 of the log's public key, lower-case hex (RFC 6962 3.2). */
  readonly logId: string;
  /** Lower-case hex. */
  readonly rootHash: string;
  /** How many entries the tree covers. */
  readonly size: number;
  /** Wall milliseconds; never before that of an earlier head. */
  readonly time: number;
}

export interface SignedTreeHead extends TreeHead {
  /** Ed25519 (RFC 8032) over the canonical text of the head. */
  readonly signature: Buffer;
}

const hex256 = pattern(/^[0-9a-f]{64}$/);

/** `kind` and `v` keep a signature over a head from meaning anything else. */
const signedText: Codec<TreeHead & { kind: 'tree-head'; v: '1' }> = record({
  epoch: integer,
  kind: oneOf('tree-head'),
  logId: hex256,
  rootHash: hex256,
  size: integer,
  time: integer,
  v: oneOf('1'),
});

const line: Codec<{ head: TreeHead & { kind: 'tree-head'; v: '1' }; signature: Buffer }> = record({
  head: signedText,
  signature: bytes(64),
});

function textOf({ epoch, logId, rootHash, size, time }: TreeHead): TreeHead & { kind: 'tree-head'; v: '1' } {
  return { epoch, kind: 'tree-head', logId, rootHash, size, time, v: '1' };
}

export function logIdOf(publicKey: KeyObject): string {
  return hash('sha256', publicKey.export({ type: 'spki', format: 'der' }));
}

/** Signs with the log's own key, never the CA's: who can issue must not be able to rewrite what was issued. */
export function signTreeHead(head: TreeHead, privateKey: KeyObject): SignedTreeHead {
  return { ...head, signature: sign(null, Buffer.from(encodeCanonical(signedText, textOf(head))), privateKey) };
}

/** Whether the log with this public key signed this head. */
export function verifyTreeHead(head: SignedTreeHead, publicKey: KeyObject): boolean {
  if (publicKey.asymmetricKeyType !== 'ed25519' || head.logId !== logIdOf(publicKey)) return false;
  return verify(null, Buffer.from(encodeCanonical(signedText, textOf(head))), publicKey, head.signature);
}

/** One line of an export, or of what a sidecar remembers. */
export function encodeTreeHead(head: SignedTreeHead): string {
  return encodeCanonical(line, { head: textOf(head), signature: head.signature });
}

/** @throws SealwrightError `ledger_entry_invalid` */
export function decodeTreeHead(text: string): SignedTreeHead {
  const { head, signature } = decodeCanonical(line, text, 1024);
  const { epoch, logId, rootHash, size, time } = head;
  return { epoch, logId, rootHash, size, time, signature };
}

/** The public key as it is exported: SubjectPublicKeyInfo, DER. */
export function exportLogKey(publicKey: KeyObject): Buffer {
  return publicKey.export({ type: 'spki', format: 'der' });
}

export function importLogKey(spki: Buffer): KeyObject {
  return createPublicKey({ key: spki, format: 'der', type: 'spki' });
}
