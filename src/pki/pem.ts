import { SealwrightError } from '../core/errors.ts';
import { LONGEST_DER } from './der/reader.ts';

/** The labels of RFC 7468 that are read and written. */
export type PemLabel = 'CERTIFICATE' | 'CERTIFICATE REQUEST' | 'PRIVATE KEY' | 'PUBLIC KEY' | 'X509 CRL';

/** The longest text of one block: the CSR of a caller is refused by its size before anything is decoded. */
export const LONGEST_PEM_BLOCK = LONGEST_DER;

/** The longest file: a bundle of some thousand roots. */
const LONGEST_PEM_FILE = 4 * 1024 * 1024;

const BLOCK = /-----BEGIN ([A-Z0-9 ]{1,64})-----\r?\n([A-Za-z0-9+/=\r\n]*)-----END ([A-Z0-9 ]{1,64})-----/g;
const BEGIN = /-----BEGIN /g;

/** One block of 64 characters a line, as RFC 7468 2 says, with a line feed at the end. */
export function encodePem(label: PemLabel, der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64');
  let body = '';
  for (let at = 0; at < base64.length; at += 64) body += `${base64.slice(at, at + 64)}\n`;
  return `-----BEGIN ${label}-----\n${body}-----END ${label}-----\n`;
}

/**
 * The blocks of a file that carry `label`, in order. Files are written by people and tools: other blocks and text
 * between them are passed over, a block that is cut or damaged is not.
 *
 * @throws SealwrightError `pem_invalid`
 */
export function decodePem(text: string, label: PemLabel): Buffer[] {
  if (text.length > LONGEST_PEM_FILE) refuse(label, `longer than ${LONGEST_PEM_FILE} characters`);
  const blocks = [...text.matchAll(BLOCK)];
  if (blocks.length !== [...text.matchAll(BEGIN)].length) refuse(label, 'a block is cut short or damaged');
  return blocks.flatMap(([, begin = '', body = '', end = '']) => {
    if (begin !== end) refuse(label, `a block begins as ${begin} and ends as ${end}`);
    return begin === label ? [decodeBody(body, label)] : [];
  });
}

/**
 * The one block of what a caller sent: nothing before, between or after it but white space, for whatever else it
 * says would be read by nobody or by somebody else.
 *
 * @throws SealwrightError `pem_invalid`
 */
export function decodeSinglePem(text: string, label: PemLabel): Buffer {
  if (text.length > LONGEST_PEM_BLOCK) refuse(label, `longer than ${LONGEST_PEM_BLOCK} characters`);
  const trimmed = text.trim();
  const begin = `-----BEGIN ${label}-----`;
  const end = `-----END ${label}-----`;
  if (!trimmed.startsWith(begin)) refuse(label, `it does not begin with ${begin}`);
  if (!trimmed.endsWith(end)) refuse(label, `it does not end with ${end}`);
  const body = trimmed.slice(begin.length, -end.length);
  if (body.includes('-')) refuse(label, 'there is more than one block');
  return decodeBody(body, label);
}

function decodeBody(body: string, label: PemLabel): Buffer {
  const base64 = body.replace(/\r?\n/g, '');
  const der = Buffer.from(base64, 'base64');
  // Buffer.from passes over what is not base64 and over bits that do not fit: only the exact way back is accepted.
  if (der.length === 0 || der.toString('base64') !== base64) refuse(label, 'the body is not base64');
  return der;
}

function refuse(label: PemLabel, reason: string): never {
  throw new SealwrightError('pem_invalid', { expected: label, reason });
}
