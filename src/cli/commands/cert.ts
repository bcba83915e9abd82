import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { stringifyYaml } from '../../config/stringify-yaml.ts';
import { SealwrightError, reasonOf } from '../../core/errors.ts';
import type { CommandContext } from '../command.ts';
import { readAll } from '../read-all.ts';
import { addOutputOption } from '../render/listing.ts';

/** `sealwright cert inspect`: what the certificates of a file say, and what is wrong with each. */
export function configure(command: Command, context: CommandContext): void {
  const inspect = command
    .command('inspect')
    .description('explain every certificate of a PEM or DER file; the chain is shown, not verified')
    .argument('<file>', 'the file, or - for standard input');
  addOutputOption(inspect);
  inspect.action(async (file: string, options: { output: string }) => {
    const { describeCertificate } = await import('../../pki/inspect.ts');
    const { splitCertificates } = await import('../split-certificates.ts');
    const { renderCertificate } = await import('../render/certificate.ts');
    const now = context.now();
    const descriptions = splitCertificates(await read(file, context)).map((der) => describeCertificate(der, now));
    if (options.output === 'json') context.stdout(`${JSON.stringify(descriptions, null, 2)}\n`);
    else if (options.output === 'yaml') context.stdout(stringifyYaml(descriptions));
    else context.stdout(descriptions.map((one) => renderCertificate(one, now)).join('\n'));
  });
}

async function read(file: string, context: CommandContext): Promise<Buffer> {
  if (file === '-') return readAll(context.stdin);
  try {
    return await readFile(resolve(context.folder, file));
  } catch (error) {
    throw new SealwrightError(
      'argument_invalid',
      { argument: 'file', got: file, reason: reasonOf(error) },
      { cause: error },
    );
  }
}
