import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { SealwrightError, reasonOf } from '../core/errors.ts';
import type { CommandContext } from './command.ts';
import { readAll } from './read-all.ts';

/** A file that a person named, or standard input for `-`. */
export async function readInput(file: string, context: CommandContext): Promise<Buffer> {
  if (file === '-') return readAll(context.stdin);
  try {
    return await readFile(resolve(context.folder, file));
  } catch (error) {
    const fields = { argument: 'file', got: file, reason: reasonOf(error) };
    throw new SealwrightError('argument_invalid', fields, { cause: error });
  }
}
