import type { Command } from 'commander';
import type { CommandContext } from '../command.ts';
import { packageVersion } from '../package-version.ts';
import { addSettingsOptions, loadSettings } from '../settings-options.ts';
import { untilStopped } from '../until-stopped.ts';

/** `sealwright ca`: runs the certificate authority until SIGTERM or Ctrl-C. */
export function configure(command: Command, context: CommandContext): void {
  addSettingsOptions(command, 'ca');
  command.action(async (options: Record<string, unknown>) => {
    const settings = loadSettings(options, context);
    const { startCa } = await import('../../../ca/server.ts');
    const stopped = untilStopped();
    // What waits for an API server listens nowhere yet, and would let the process end.
    const starting = setInterval(() => {}, 60_000);
    const surroundings = { env: context.env, version: packageVersion(), log: context.stderr };
    const ca = await startCa(settings, surroundings).finally(() => clearInterval(starting));
    await stopped;
    await ca.close();
  });
}
