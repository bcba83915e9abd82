import { createPrivateKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { link, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { SealwrightError, reasonOf } from '../../src/core/errors.ts';
import { isMissing, readPrivateFile } from '../roots/private-file.ts';

const generate = promisify(generateKeyPair);

/**
 * The key of the embedded token issuer: RSA, since RS256 is what every verifier of service account tokens knows. Made
 * on the first start, whole or not at all, readable by its owner alone, and used for nothing else.
 *
 * @throws SealwrightError `token_key_unusable`, `private_file_exposed`
 */
export async function openTokenKey(path: string): Promise<KeyObject> {
  try {
    const existing = readKey(path);
    if (existing !== undefined) return existing;
    const { privateKey } = await generate('rsa', { modulusLength: 2048 });
    const unfinished = `${path}.${process.pid}.new`;
    await rm(unfinished, { force: true });
    {
      await using file = await open(unfinished, 'wx', 0o600);
      await file.writeFile(privateKey.export({ type: 'pkcs8', format: 'pem' }));
      await file.sync();
    }
    // Unlike a rename, a link never replaces a key that appeared meanwhile.
    await link(unfinished, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    await rm(unfinished);
    await using folder = await open(dirname(path));
    await folder.sync();
    const made = readKey(path);
    if (made !== undefined) return made;
  } catch (error) {
    if (error instanceof SealwrightError) throw error;
    // Neither node nor OpenSSL quotes the file in its reason.
    throw new SealwrightError('token_key_unusable', { file: path, reason: reasonOf(error) }, { cause: error });
  }
  throw new SealwrightError('token_key_unusable', { file: path, reason: 'it vanished' });
}

function readKey(path: string): KeyObject | undefined {
  try {
    return createPrivateKey(readPrivateFile(path).text);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
