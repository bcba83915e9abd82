import type { Clock, Timer } from '../core/clock.ts';
import type { LogFields, Logger } from '../core/logger.ts';
import { TokenBucket } from '../core/token-bucket.ts';

export interface LimitLinesOptions {
  readonly logger: Logger;
  readonly clock: Pick<Clock, 'elapsed' | 'after'>;
  /** How many write to the same log, each of which has its share; 1 where nothing is said. */
  readonly sharedBy?: number;
}

export interface LimitedLines {
  /** Writes lines to the logger below while there are few of a kind. */
  readonly logger: Logger;
  /** Tells of what was left out since the last summary. */
  readonly close: () => void;
}

/** Lines of one kind: at once, and then one every three seconds. */
const BURST = 20;
const PER_SECOND = 1 / 3;

/** How often what was left out is told, in milliseconds. */
const INTERVAL = 60_000;

/** Kinds are messages and codes of our own; the limit holds even if one were made out of what a peer sent. */
const MOST_KINDS = 256;

/**
 * A logger for lines that a peer can cause at will: of each kind, which is the message and the `code` among its fields,
 * some are written and the rest is counted into one line a minute. Otherwise whoever reaches the port could fill the
 * disk with the log.
 */
export function limitLines({ logger, clock, sharedBy = 1 }: LimitLinesOptions): LimitedLines {
  const buckets = new Map<string, TokenBucket>();
  const leftOut = new Map<string, number>();
  let timer: Timer | undefined;
  const tell = (): void => {
    timer?.cancel();
    timer = undefined;
    if (leftOut.size === 0) return;
    logger.warn('lines of the log were left out', { counts: Object.fromEntries(leftOut) });
    leftOut.clear();
  };
  const bucketOf = (kind: string): TokenBucket => {
    const known = buckets.get(kind);
    if (known !== undefined) return known;
    const made = new TokenBucket({ burst: Math.ceil(BURST / sharedBy), perSecond: PER_SECOND / sharedBy, clock });
    buckets.set(kind, made);
    return made;
  };
  const through =
    (level: 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}): void => {
      const code = fields['code'];
      const wanted = typeof code === 'string' ? `${message}: ${code}` : message;
      const kind = buckets.has(wanted) || buckets.size < MOST_KINDS ? wanted : 'other';
      if (bucketOf(kind).take()) {
        logger[level](message, fields);
        return;
      }
      leftOut.set(kind, (leftOut.get(kind) ?? 0) + 1);
      timer ??= clock.after(INTERVAL, tell);
    };
  return {
    logger: {
      debug: (message, fields) => logger.debug(message, fields),
      info: through('info'),
      warn: through('warn'),
      error: through('error'),
    },
    close: tell,
  };
}
