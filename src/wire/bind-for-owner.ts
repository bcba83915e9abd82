/**
 * Binds a Unix socket so that nobody but its owner can connect from the moment it is there: a `chmod` after the bind
 * comes too late for who waits for it. Every `listen` of Node's on a path binds before it returns.
 *
 * The umask is that of the whole process: while this runs, other threads' files too are made for the owner alone.
 * Node has it in the main thread only, so that this throws in a worker.
 */
export function bindForOwner(bind: () => void): void {
  const former = process.umask(0o077);
  try {
    bind();
  } finally {
    process.umask(former);
  }
}
