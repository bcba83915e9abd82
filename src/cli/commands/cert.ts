import type { Command } from 'commander';
import { stringifyYaml } from '../../config/stringify-yaml.ts';
import type { CommandContext } from '../command.ts';
import { readInput } from '../read-input.ts';
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
    const descriptions = splitCertificates(await readInput(file, context)).map((der) => describeCertificate(der, now));
    if (options.output === 'json') context.stdout(`${JSON.stringify(descriptions, null, 2)}\n`);
    else if (options.output === 'yaml') context.stdout(stringifyYaml(descriptions));
    else context.stdout(descriptions.map((one) => renderCertificate(one, now)).join('\n'));
  });
}
