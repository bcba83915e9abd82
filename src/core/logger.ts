/** Values that belong to one log line. Never a key, a token or a JWT (invariant 2). */
export type LogFields = Readonly<Record<string, unknown>>;

/** What every room logs through; `observe` makes the one that writes. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}
