import { mkdir, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import type { Command } from 'commander';
import { SealwrightError, reasonOf } from '../../core/errors.ts';
import { parseTrustDomain } from '../../identity/trust-domain.ts';
import type { CommandContext } from '../command.ts';

/** `sealwright init DIR`: a folder in which `sealwright ca` starts without a flag. */
export function configure(command: Command, context: CommandContext): void {
  command
    .argument('[folder]', 'where to write', '.')
    .option('--trust-domain <name>', 'the trust domain of every identity', 'cluster.local')
    .action(async (folder: string, options: { trustDomain: string }) => {
      const trustDomain = parseTrustDomain(options.trustDomain);
      const place = resolve(context.folder, folder);
      await writeStartingFolder(place, trustDomain);
      context.stdout(`${place} is ready: settings in sealwright.yaml, policies go into resources/\n`);
      const there = relative(context.folder, place) === '' ? '' : `cd ${folder} && `;
      context.stdout(`next: ${there}sealwright ca\n`);
    });
}

/**
 * Writes the folder. What is already there is never overwritten.
 *
 * @throws SealwrightError `init_not_empty` where the folder holds settings already, `file_unwritable`
 */
export async function writeStartingFolder(folder: string, trustDomain: string): Promise<void> {
  try {
    for (const [name, mode] of [
      ['resources', 0o755],
      ['ca', 0o700],
      ['workloads', 0o700],
    ] as const) {
      await mkdir(join(folder, name), { recursive: true, mode });
    }
    await writeFile(join(folder, 'sealwright.yaml'), settingsFile(trustDomain), { flag: 'wx' });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') {
      throw new SealwrightError('init_not_empty', { folder }, { cause: error });
    }
    throw new SealwrightError('file_unwritable', { file: folder, reason: reasonOf(error) }, { cause: error });
  }
}

function settingsFile(trustDomain: string): string {
  return `# Settings of sealwright; docs/reference/settings.md lists all of them.
# A flag (--ca-listen) beats a variable (SEALWRIGHT_CA_LISTEN), which beats this file.
trustDomain: ${trustDomain}
resources: resources
ca:
  state: ca
  listen: 127.0.0.1:15012
  # Off a cluster there is nobody else to issue service account tokens. On one, Kubernetes does: leave this off there.
  tokenIssuer:
    enabled: true
  ttl:
    default: 24h
    max: 2160h
`;
}
