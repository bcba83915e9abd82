import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { CheckFailed, type CommandContext } from '../command.ts';
import { untilStopped } from '../until-stopped.ts';

/** `sealwright demo`: the certificate authority at work, by real processes and the real protocol. */
export function configure(command: Command, context: CommandContext): void {
  command
    .option('--once', 'check every outcome, then end with 0 or 1 instead of staying up')
    .action(async ({ once }: { once?: true }) => {
      const { runDemo } = await import('../demo/run-demo.ts');
      const { writeStartingFolder } = await import('./init.ts');
      const folder = join(context.folder, '.sealwright/demo');
      // Made anew each time, so that what is seen is what a first start does.
      await rm(folder, { recursive: true, force: true });
      await writeStartingFolder(folder, 'cluster.local');
      const demo = await runDemo({ folder, freePorts: once === true, context });
      try {
        if (once !== true) {
          context.stdout('\nIt stays up for you to explore; Ctrl-C ends it.\n');
          await untilStopped();
        }
      } finally {
        await demo.stop();
      }
      if (!demo.good) throw new CheckFailed();
    });
}
