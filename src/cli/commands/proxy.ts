import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { CommandContext } from '../command.ts';
import { endProcessWithin } from '../end-process.ts';
import { packageVersion } from '../package-version.ts';
import { addSettingsOptions, loadSettings } from '../settings-options.ts';
import { untilStopped } from '../until-stopped.ts';

/** How much longer than its drain the orderly end may take, in milliseconds. */
const STOP_PATIENCE = 5_000;

/** How long the process may take from its orderly end to its exit, in milliseconds. */
const EXIT_PATIENCE = 1_000;

/** `sealwright proxy`: runs the sidecar of one workload until SIGTERM, Ctrl-C or `/quitquitquit`. */
export function configure(command: Command, context: CommandContext): void {
  addSettingsOptions(command, 'proxy');
  command.action(async (options: Record<string, unknown>) => {
    const settings = loadSettings(options, context);
    const { keepYoungGenerationSmall } = await import('../../../proxy/young-generation.ts');
    keepYoungGenerationSmall();
    const { startProxy } = await import('../../../proxy/server.ts');
    const { ownWorkload } = await import('../../../proxy/own-workload.ts');
    const inFolder = (path: string): string => resolve(context.folder, path);
    const stopped = untilStopped();
    const { proxy } = settings;
    const { namespace, name } = ownWorkload(proxy);
    const state = inFolder(proxy.state ?? join('workloads', namespace, name));
    const running = await startProxy(
      {
        ...settings,
        proxy: {
          ...proxy,
          state,
          caRoot: inFolder(proxy.caRoot),
          tokenFile: inFolder(proxy.tokenFile ?? join(state, 'token')),
        },
      },
      {
        env: context.env,
        version: packageVersion(),
        log: context.stderr,
        accessLog: context.stdout,
        onAccessLogDrain: context.onStdoutDrain,
      },
    );
    const log = context.stderr;
    try {
      await Promise.race([stopped, running.ended]);
      const within = proxy.terminationDrainDuration + STOP_PATIENCE;
      const ended = endProcessWithin({ within, log, waitingFor: 'the orderly end', code: 1 });
      await running.stop();
      ended();
    } finally {
      // All is saved and closed by now: what still holds the process is nobody's work.
      endProcessWithin({ within: EXIT_PATIENCE, log, waitingFor: 'the exit' });
    }
  });
}
