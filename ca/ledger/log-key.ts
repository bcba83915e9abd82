import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, linkSync, openSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { reasonOf, SealwrightError } from '../../src/core/errors.ts';
import { readPrivateFile } from '../roots/private-file.ts';

/**
 * Reads the log's private key.
 *
 * @throws SealwrightError `ledger_log_key`, `private_file_exposed`
 */
export function readLogKey(path: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(readPrivateFile(path).text);
  } catch (error) {
    if (error instanceof SealwrightError) throw error;
    // Neither reason quotes the file: node names the path, OpenSSL its routine.
    throw new SealwrightError('ledger_log_key', { file: basename(path), reason: reasonOf(error) });
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new SealwrightError('ledger_log_key', { file: basename(path), reason: `a ${key.asymmetricKeyType} key` });
  }
  return key;
}

/**
 * Makes the log's key where there is none yet. The file appears whole, with mode 0600, or not at all: it is written
 * under another name, flushed, and linked, which never replaces a key that appeared meanwhile.
 *
 * @throws SealwrightError `ledger_log_key`
 */
export function makeLogKey(path: string): KeyObject {
  if (existsSync(path)) return readLogKey(path);
  const folder = dirname(path);
  const unfinished = join(folder, `.${basename(path)}.${process.pid}`);
  try {
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
    // What a killed process left under this name is not a key that anybody used.
    rmSync(unfinished, { force: true });
    const file = openSync(unfinished, 'wx', 0o600);
    try {
      writeSync(file, pem.toString());
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    try {
      linkSync(unfinished, path);
    } catch (error) {
      if (!existsSync(path)) throw error;
    }
    rmSync(unfinished);
    syncFolder(folder);
  } catch (error) {
    throw new SealwrightError('ledger_log_key', { file: basename(path), reason: reasonOf(error) }, { cause: error });
  }
  return readLogKey(path);
}

/** A new name is durable only once its folder is (fsync(2)). */
function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
