import { chmod, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { TrustDomain } from '../identity/trust-domain.ts';
import { decodePem, encodePem } from '../pki/pem.ts';
import { HeldIdentity } from './held-identity.ts';
import { readIfThere, replacePrivateFile } from './private-file.ts';

/** Key, certificates and roots in one file, so that no crash leaves a key beside another's certificate. */
const IDENTITY_FILE = 'identity.pem';

/** Where the roots begin; what stands between PEM blocks is explanation to every reader of PEM (RFC 7468 2). */
const ROOTS_HEADING = '# The roots that came with it:';
const RECEIVED = /^# Received (\S+)$/m;

/**
 * The identity that an earlier run left, if it is still one. What cannot be used is no reason not to start: it is
 * said, and a new one is obtained.
 */
export async function loadIdentity(
  folder: string,
  { trustDomain, now, logger }: { readonly trustDomain: TrustDomain; readonly now: number; readonly logger: Logger },
): Promise<HeldIdentity | undefined> {
  const file = join(folder, IDENTITY_FILE);
  try {
    const text = await readIfThere(file);
    if (text === undefined) return undefined;
    const [own = '', roots = ''] = text.split(ROOTS_HEADING, 2);
    const pem = (label: 'CERTIFICATE' | 'PRIVATE KEY', of: string): string =>
      decodePem(of, label)
        .map((der) => encodePem(label, der))
        .join('');
    // Unreadable, it counts as received long ago, and is renewed at once.
    const received = Date.parse(RECEIVED.exec(own)?.[1] ?? '');
    return HeldIdentity.prove({
      keyPem: pem('PRIVATE KEY', own),
      chainPem: pem('CERTIFICATE', own),
      rootsPem: pem('CERTIFICATE', roots),
      trustDomain,
      receivedAt: received <= now ? received : 0,
      now,
    });
  } catch (error) {
    const code = error instanceof SealwrightError ? error.code : undefined;
    logger.warn('the identity of the last run cannot be used', { file, code, reason: reasonOf(error) });
    return undefined;
  }
}

/** @throws SealwrightError `workload_folder_unwritable` */
export async function saveIdentity(folder: string, held: HeldIdentity): Promise<void> {
  const received = `# Received ${new Date(held.receivedAt).toISOString()}`;
  const text = `${received}\n${held.keyPem}${held.chainPem}${ROOTS_HEADING}\n${held.rootsPem}`;
  await makePrivateFolder(folder);
  await replacePrivateFile(join(folder, IDENTITY_FILE), text);
}

/** For a run that is to leave no key behind. */
export async function removeIdentity(folder: string): Promise<void> {
  await rm(join(folder, IDENTITY_FILE), { force: true });
}

/** @throws SealwrightError `workload_folder_unwritable` */
export async function makePrivateFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
  } catch (cause) {
    throw new SealwrightError('workload_folder_unwritable', { file: folder, reason: reasonOf(cause) }, { cause });
  }
}
