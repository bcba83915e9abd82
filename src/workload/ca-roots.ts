import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { reasonOf, SealwrightError } from '../core/errors.ts';
import { decodePem, encodePem } from '../pki/pem.ts';
import { readIfThere, replacePrivateFile } from './private-file.ts';

const PUSHED_FILE = 'root-cert.pem';
const BESIDE = /^# Pushed beside the root file (\S+)$/m;

/**
 * The roots that the CA is verified with: those of the root file, and those that the CA pushed since, so that a
 * rotation of the root does not wait for somebody to replace files. A root file that changes is a person's word, and
 * what was pushed before counts no more.
 */
export class CaRoots {
  readonly #file: string;
  readonly #folder: string | undefined;
  /** Of the root file when `#pushed` came; undefined where it was not readable. */
  #fileHash: string | undefined;
  #pushed: readonly string[] = [];

  private constructor(file: string, folder: string | undefined) {
    this.#file = file;
    this.#folder = folder;
  }

  /** With what an earlier run was pushed, where there is a folder that it could leave it in. */
  static async open({
    file,
    folder,
  }: {
    readonly file: string;
    readonly folder?: string | undefined;
  }): Promise<CaRoots> {
    const roots = new CaRoots(file, folder);
    if (folder === undefined) return roots;
    const text = await readIfThere(join(folder, PUSHED_FILE)).catch(() => undefined);
    const hash = BESIDE.exec(text ?? '')?.[1];
    if (text === undefined || hash === undefined) return roots;
    roots.#fileHash = hash;
    roots.#pushed = blocks(text);
    return roots;
  }

  /**
   * PEM. The file is read again each time.
   *
   * @throws SealwrightError `ca_root_unreadable`
   */
  async read(): Promise<string> {
    const { own, hash, problem } = await this.#readFile();
    if (hash !== undefined && hash !== this.#fileHash) {
      this.#fileHash = hash;
      this.#pushed = [];
    }
    const all = new Set([...own, ...this.#pushed]);
    if (all.size === 0) throw new SealwrightError('ca_root_unreadable', { file: this.#file, reason: problem });
    return [...all].join('');
  }

  /** Adds what an authenticated CA says its roots are, instead of what it said before. */
  async push(pem: string): Promise<void> {
    const { hash } = await this.#readFile();
    const pushed = blocks(pem);
    const same = hash === this.#fileHash && pushed.join('') === this.#pushed.join('');
    if (pushed.length === 0 || same) return;
    this.#fileHash = hash;
    this.#pushed = pushed;
    if (this.#folder === undefined) return;
    const heading = `# Pushed beside the root file ${hash ?? 'that could not be read'}`;
    await replacePrivateFile(join(this.#folder, PUSHED_FILE), `${heading}\n${pushed.join('')}`);
  }

  async #readFile(): Promise<{ own: readonly string[]; hash: string | undefined; problem: string }> {
    try {
      const text = await readFile(this.#file, 'utf8');
      const hash = createHash('sha256').update(text).digest('hex');
      return { own: blocks(text), hash, problem: 'it holds no certificate' };
    } catch (error) {
      // Not there yet, or half written: what was pushed still counts, and the next try reads it again.
      return { own: [], hash: undefined, problem: reasonOf(error) };
    }
  }
}

const blocks = (pem: string): string[] => decodePem(pem, 'CERTIFICATE').map((der) => encodePem('CERTIFICATE', der));
