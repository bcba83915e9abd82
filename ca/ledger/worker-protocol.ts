import { SealwrightError, type ErrorCode, type ErrorFields } from '../../src/core/errors.ts';
import type { Committed, PendingEntry } from './ledger-writer.ts';
import type { SignedTreeHead } from './tree-head.ts';

/** What the ledger's threads say to each other. Both ends are ours, started together: shapes are trusted, not parsed. */
export interface WriterData {
  readonly databasePath: string;
  readonly logKeyPath: string;
}

export type ToWriter =
  { readonly type: 'append'; readonly batch: readonly PendingEntry[] } | { readonly type: 'close' };

export type FromWriter =
  | {
      readonly type: 'ready';
      readonly epoch: number;
      /** SubjectPublicKeyInfo, DER. */
      readonly publicKey: Uint8Array;
      readonly head: SignedTreeHead;
    }
  | ({ readonly type: 'committed' } & Committed)
  /** Nothing of the batch was written; the next one may succeed. */
  | { readonly type: 'failed'; readonly error: CarriedError }
  /** Nothing more will be written. */
  | { readonly type: 'stopped'; readonly error: CarriedError }
  | { readonly type: 'closed' };

export interface ReaderData {
  readonly databasePath: string;
}

export interface ToReader {
  readonly id: number;
  readonly query: string;
  readonly args: readonly unknown[];
}

export type FromReader =
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly error: CarriedError }
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'error'; readonly id: number; readonly error: CarriedError };

/** A SealwrightError as it crosses threads: structured cloning would keep the message and lose the rest. */
export interface CarriedError {
  readonly code: ErrorCode;
  readonly fields: ErrorFields;
}

export function carryError(error: SealwrightError): CarriedError {
  return { code: error.code, fields: error.fields };
}

export function liftError({ code, fields }: CarriedError): SealwrightError {
  return new SealwrightError(code, fields);
}

/** Structured cloning gives a Buffer back as a plain Uint8Array. */
export function liftHead(head: SignedTreeHead): SignedTreeHead {
  const { signature } = head;
  return { ...head, signature: Buffer.from(signature.buffer, signature.byteOffset, signature.byteLength) };
}
