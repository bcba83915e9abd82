import { connect } from 'node:net';

/** Errors of connect(2) that a socket gives which somebody listens on: its queue is full, or it is not for us. */
const OF_THE_LIVING: readonly unknown[] = ['EAGAIN', 'EACCES', 'EPERM'];

/**
 * Whether somebody listens on the Unix socket at a path. What a killed process left behind, and what is not there or is
 * no socket, answers nobody; where it cannot be told, somebody does, for whoever asks means to take its place.
 */
export function socketAnswers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(OF_THE_LIVING.includes(error.code)));
  });
}
