import { SealwrightError } from '../core/errors.ts';

/** More than any file that a person pipes into a command, in bytes. */
const LARGEST_INPUT = 16 * 1024 * 1024;

/** Standard input to its end. */
export async function readAll(stream: NodeJS.ReadableStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > LARGEST_INPUT)
      throw new SealwrightError('argument_invalid', { argument: '-', reason: 'more than 16 MiB' });
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}
