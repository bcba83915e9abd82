import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What V8 can be asked for; `flavor` as of Node 22. */
export interface Collection {
  readonly type: 'major' | 'minor';
  readonly execution: 'sync';
  readonly flavor?: 'last-resort';
}

/** V8's collector of this thread, which is within reach of programs only by a flag; undefined where it is not. */
export function garbageCollector(): ((collection: Collection) => void) | undefined {
  // The flag is the whole process's: taken back here, it would be gone under another thread that has come as far.
  setFlagsFromString('--expose-gc');
  // A context that is made after the flag was set has the function.
  const collect: unknown = runInNewContext('gc');
  return typeof collect === 'function' ? (collection) => void collect(collection) : undefined;
}
