import { randomInt } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { CheckFailed, type CommandContext } from '../command.ts';
import type { Placement } from '../demo/topology.ts';
import { packageRoot } from '../package-root.ts';
import { untilStopped } from '../until-stopped.ts';

/** Milliseconds for which a sidecar's certificate is valid: short, so that its renewal can be seen. */
const LIFETIME = 12_000;

interface DemoFlags {
  readonly once?: true;
  readonly freePorts?: true;
  readonly samples: string;
}

/** `sealwright demo`: a CA and four services, each behind a sidecar of its own; all of them are real processes. */
export function configure(command: Command, context: CommandContext): void {
  command
    .option('--once', 'check every outcome, then end with 0 or 1 instead of staying up; implies --free-ports')
    .option('--free-ports', 'take loopback addresses, ports and a folder that nobody else has')
    .option('--samples <folder>', 'the services and policies to run', join(packageRoot().folder, 'manifests/samples'))
    .action(async ({ once, freePorts, samples }: DemoFlags) => {
      const stopped = untilStopped().then(() => undefined);
      const place = once || freePorts ? await takeFreePlace(context) : await takeUsualPlace(context);
      try {
        const demo = await openDemo({ place, samples, context });
        await (once ? runOnce(demo, stopped) : stayUp(demo, stopped, context));
      } finally {
        await place.leave();
      }
    });
}

/** Where a demo takes place, and what is done with the folder after it. */
interface Place {
  readonly folder: string;
  readonly placement: Placement;
  readonly leave: () => Promise<void>;
}

async function takeUsualPlace(context: CommandContext): Promise<Place> {
  const { lockDemoFolder } = await import('../demo/demo-lock.ts');
  const { USUAL_PLACEMENT } = await import('../demo/topology.ts');
  const folder = join(context.folder, '.sealwright/demo');
  // The folder stays, for whoever wants to read a log or the ledger.
  return { folder, placement: USUAL_PLACEMENT, leave: await lockDemoFolder(folder) };
}

async function takeFreePlace(context: CommandContext): Promise<Place> {
  const { freePlacement } = await import('../demo/topology.ts');
  const folder = join(context.folder, `.sealwright/demo-${process.pid}`);
  const leave = (): Promise<void> => rm(folder, { recursive: true, force: true });
  return { folder, placement: freePlacement((below) => randomInt(below)), leave };
}

type Demo = Awaited<ReturnType<typeof openDemo>>;

/** Until somebody ends it. That somebody ends it early is nothing wrong. */
async function stayUp(demo: Demo, stopped: Promise<undefined>, context: CommandContext): Promise<void> {
  const { showAround } = await import('../demo/show-around.ts');
  try {
    const result = await Promise.race([demo.run(), stopped]);
    if (result === undefined) return;
    showAround(demo.screen, result.mesh, { folder: context.folder, certificateLifetime: LIFETIME });
    await stopped;
    if (result.wrong.length > 0) throw new CheckFailed();
  } finally {
    await demo.processes.stop();
  }
}

/** What it could not finish is not good. */
async function runOnce(demo: Demo, stopped: Promise<undefined>): Promise<void> {
  try {
    const result = await Promise.race([demo.run(), stopped]);
    if (result?.wrong.length !== 0) throw new CheckFailed();
  } finally {
    await demo.processes.stop();
  }
}

async function openDemo(parts: { readonly place: Place; readonly samples: string; readonly context: CommandContext }) {
  const { place, context } = parts;
  const { folder, placement } = place;
  const { runDemo } = await import('../demo/run-demo.ts');
  const { DemoProcesses } = await import('../demo/demo-processes.ts');
  const { Screen } = await import('../demo/screen.ts');
  const { writeStartingFolder } = await import('./init.ts');
  // Made anew each time, so that what is seen is what a first start does.
  await rm(folder, { recursive: true, force: true });
  await writeStartingFolder(folder, 'cluster.local');
  const processes = new DemoProcesses({ folder, env: context.env, placement, certificateLifetime: LIFETIME });
  const screen = new Screen(context);
  const samples = resolve(context.folder, parts.samples);
  const options = { processes, placement, samples, screen, certificateLifetime: LIFETIME, now: context.now };
  return { processes, screen, run: () => runDemo(options) };
}
