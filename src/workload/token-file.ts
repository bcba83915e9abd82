import { readFile } from 'node:fs/promises';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import type { WorkloadName } from '../identity/spiffe-id.ts';
import { LONGEST_TOKEN, parseJwt } from '../token/jwt.ts';
import { parseServiceAccountSubject } from '../token/service-account-subject.ts';

/**
 * The service account token as it stands in its file at this moment: kubelets and people replace it, so it is read for
 * each use and never kept. Undefined where there is none.
 *
 * @throws SealwrightError `token_file_unreadable`; never with a piece of the token
 */
export async function readToken(file: string): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'latin1');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
    throw new SealwrightError('token_file_unreadable', { file, reason: reasonOf(cause) }, { cause });
  }
  const token = text.trim();
  if (token === '') return undefined;
  const refuse = (reason: string): never => {
    throw new SealwrightError('token_file_unreadable', { file, reason });
  };
  if (token.length > LONGEST_TOKEN) return refuse(`longer than ${LONGEST_TOKEN} characters`);
  // It travels in a header, where anything else would end it.
  return /^[\x21-\x7e]+$/.test(token) ? token : refuse('it holds what no token can');
}

/**
 * Whom a token names, unverified: enough to see that it is not about the identity that is held, which the CA would
 * refuse; no right comes of it. Undefined where it cannot be told.
 */
export function subjectOfToken(token: string): WorkloadName | undefined {
  try {
    const { sub } = parseJwt(token).claims;
    return typeof sub === 'string' ? parseServiceAccountSubject(sub) : undefined;
  } catch {
    return undefined;
  }
}
