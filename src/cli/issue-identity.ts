import { randomBytes } from 'node:crypto';
import { access, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { SealwrightError, reasonOf } from '../core/errors.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { createCsr } from '../pki/csr-writer.ts';
import { decodeCertificates } from '../pki/certificate-pem.ts';
import { createKeyPair, encodePrivateKey } from '../pki/keys.ts';
import { createPkcs12 } from '../pki/pkcs12.ts';
import { readAnswer } from './answer.ts';
import type { CommandContext } from './command.ts';
import type { OperatorClient } from './operator-client.ts';

/** Keeps a file that holds a key to its owner. */
const SECRET = 0o600;

/** Makes a key here, has the CA sign it, and writes both as PEM files or as one PKCS#12 keystore. */
export async function issueIdentity(call: {
  readonly identity: SpiffeId;
  /** Milliseconds; 0 for the CA's default. */
  readonly ttl: number;
  readonly options: Readonly<Record<string, unknown>>;
  readonly operator: OperatorClient;
  readonly context: CommandContext;
}): Promise<void> {
  const { identity, ttl, options, operator, context } = call;
  const format = options['format'] ?? 'pem';
  if (format !== 'pem' && format !== 'pkcs12') {
    throw new SealwrightError('argument_invalid', {
      argument: '--format',
      got: typeof format === 'string' ? format : undefined,
      expected: 'pem or pkcs12',
    });
  }
  if (format === 'pem' && options['passwordFile'] !== undefined) {
    throw new SealwrightError('argument_invalid', {
      argument: '--password-file',
      expected: '--format pkcs12 beside it: PEM files are written without a password',
    });
  }
  // Before anything is issued, so that a forgotten password costs no certificate.
  const password = format === 'pkcs12' ? await readPassword(options, context) : '';
  const folder = resolve(context.folder, typeof options['out'] === 'string' ? options['out'] : '.');
  const stem = fileStem(identity);
  const names = format === 'pkcs12' ? [`${stem}.p12`] : [`${stem}-key.pem`, `${stem}-cert.pem`, `${stem}-root.pem`];
  if (options['force'] !== true) await refuseExisting(names.map((name) => join(folder, name)));
  const pair = await createKeyPair();
  const csr = createCsr({ keyPair: pair, identity });
  const answer = readAnswer(await operator.post('/v1/identities/issue', { identity: identity.toString(), csr, ttl }));
  const chain = answer.texts('chain');
  await mkdir(folder, { recursive: true });
  const leafAndIntermediates = chain.slice(0, -1);
  const roots = chain.at(-1) ?? '';
  const write = async (name: string, content: string | Buffer, mode: number): Promise<void> => {
    await replaceFile(join(folder, name), content, mode);
    context.stdout(`${join(folder, name)}\n`);
  };
  if (format === 'pkcs12') {
    const keystore = createPkcs12({
      privateKey: pair.privateKey,
      chain: decodeCertificates(leafAndIntermediates.join('')),
      roots: decodeCertificates(roots),
      password,
      friendlyName: stem,
      randomBytes,
    });
    await write(`${stem}.p12`, keystore, SECRET);
    return;
  }
  await write(`${stem}-key.pem`, encodePrivateKey(pair.privateKey), SECRET);
  await write(`${stem}-cert.pem`, leafAndIntermediates.join(''), 0o644);
  await write(`${stem}-root.pem`, roots, 0o644);
}

/**
 * A key that something uses is not replaced by chance.
 *
 * @throws SealwrightError `file_exists`
 */
async function refuseExisting(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (there) throw new SealwrightError('file_exists', { file: path });
  }
}

/** Written beside its place and moved there: a reader never sees half a key, and the mode holds from the first byte. */
async function replaceFile(path: string, content: string | Buffer, mode: number): Promise<void> {
  try {
    const temporary = `${path}.new`;
    await writeFile(temporary, content, { mode, flush: true });
    await rename(temporary, path);
  } catch (error) {
    throw new SealwrightError('file_unwritable', { file: path, reason: reasonOf(error) }, { cause: error });
  }
}

async function readPassword(options: Readonly<Record<string, unknown>>, context: CommandContext): Promise<string> {
  const file = options['passwordFile'];
  if (typeof file !== 'string') {
    throw new SealwrightError('argument_invalid', {
      argument: '--password-file',
      expected: 'a file whose first line is the password: a command line is readable by every process of the machine',
    });
  }
  try {
    return (await readFile(resolve(context.folder, file), 'utf8')).split(/\r?\n/, 1)[0] ?? '';
  } catch (error) {
    throw new SealwrightError(
      'argument_invalid',
      { argument: '--password-file', reason: reasonOf(error) },
      { cause: error },
    );
  }
}

function fileStem(identity: SpiffeId): string {
  const { workload } = identity;
  return workload === undefined ? 'identity' : `${workload.namespace}-${workload.serviceAccount}`;
}
