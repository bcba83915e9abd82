import type { Clock, Timer } from '../../src/core/clock.ts';
import { reasonOf } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/logger.ts';
import { exposedPorts } from './exposed-application.ts';

/** Milliseconds between two looks at where the application listens: it may start long after its sidecar. */
const INTERVAL = 60_000;

export interface ExposureWatchOptions {
  /** The application's ports at the moment. */
  readonly ports: () => ReadonlySet<number>;
  /** The text of `/proc/net/tcp` and `/proc/net/tcp6`. */
  readonly readTables: () => Promise<string>;
  readonly clock: Pick<Clock, 'after'>;
  readonly logger: Pick<Logger, 'warn' | 'error'>;
}

/** Looks now and then, and warns of an application that can be reached around its sidecar, once for each port. */
export function watchExposure({ ports, readTables, clock, logger }: ExposureWatchOptions): Timer {
  const warned = new Set<number>();
  let timer: Timer | undefined;
  let stopped = false;
  const look = async (): Promise<void> => {
    try {
      const tables = await readTables();
      if (stopped) return;
      for (const { port } of exposedPorts(tables, ports())) {
        if (warned.has(port)) continue;
        warned.add(port);
        logger.warn('the application can be reached around its sidecar: let it listen on 127.0.0.1', { port });
      }
    } catch (error) {
      logger.error('where the application listens could not be found out', { reason: reasonOf(error) });
    }
    if (!stopped) timer = clock.after(INTERVAL, () => void look());
  };
  void look();
  return {
    cancel: () => {
      stopped = true;
      timer?.cancel();
    },
  };
}
