// Loaded into a sidecar and its threads (`--import`): in the folder in which it runs, a file named `die-N` ends its thread
// N by an exception that nobody catches, as a mistake in the program would; `die-always` ends each as it begins.
import { existsSync, watch } from 'node:fs';
import { join } from 'node:path';
import { isMainThread, workerData } from 'node:worker_threads';

if (!isMainThread) {
  const folder = process.cwd();
  const { thread } = workerData as { thread: number };
  const check = (name: string): void => {
    if (existsSync(join(folder, name))) throw new Error(`thread ${thread} was told to die`);
  };
  check('die-always');
  watch(folder, { persistent: false }, (_, name) => {
    if (name === `die-${thread}` || name === 'die-always') check(name);
  });
}
