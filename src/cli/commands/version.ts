import type { Command } from 'commander';
import type { CommandContext } from '../command.ts';
import { packageVersion } from '../package-version.ts';

/** `sealwright version`: the package's version and the runtime's. */
export function configure(command: Command, context: CommandContext): void {
  command.action(() => {
    context.stdout(
      `sealwright ${packageVersion()} (node ${process.versions.node}, openssl ${process.versions.openssl})\n`,
    );
  });
}
