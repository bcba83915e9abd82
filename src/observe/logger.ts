import { pino } from 'pino';
import { cleanText } from '../core/clean-text.ts';
import type { Clock } from '../core/clock.ts';
import type { LogFields, Logger } from '../core/logger.ts';
import { cleanFields, LONGEST_LOGGED } from './clean-fields.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFormat = 'json' | 'text';

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  readonly clock: Pick<Clock, 'now'>;
  /** Takes one line at a time, its line break included. */
  readonly write: (line: string) => void;
  /** Fields of every line, such as `{ component: 'ca' }`. */
  readonly bound?: LogFields;
}

/** The logger that writes: one JSON object a line, or one line of text for a person at a terminal. */
export function createLogger(options: LoggerOptions): Logger {
  const { format, clock, write } = options;
  const timestamp = (): string => `,"time":"${new Date(clock.now()).toISOString()}"`;
  const stream = { write: format === 'json' ? write : (line: string) => write(asText(line)) };
  const log = pino(
    {
      level: options.level,
      base: cleanFields(options.bound ?? {}),
      timestamp,
      messageKey: 'message',
      formatters: { level: (level) => ({ level }) },
    },
    stream,
  );
  const say = (level: LogLevel, message: string, fields: LogFields = {}): void => {
    // Before anything is cleaned: a line below the level costs nothing.
    if (log.isLevelEnabled(level)) log[level](cleanFields(fields), cleanText(message, LONGEST_LOGGED));
  };
  return {
    debug: (message, fields) => say('debug', message, fields),
    info: (message, fields) => say('info', message, fields),
    warn: (message, fields) => say('warn', message, fields),
    error: (message, fields) => say('error', message, fields),
  };
}

/** `12:00:01.500 warn  message  field=value …`, from the JSON line. */
function asText(json: string): string {
  const { time, level, message, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const rest = Object.entries(fields).map(([name, value]) => `${name}=${plain(value)}`);
  const clock = String(time).slice(11, 23);
  return `${clock} ${String(level).padEnd(5)} ${String(message)}${rest.length > 0 ? `  ${rest.join(' ')}` : ''}\n`;
}

function plain(value: unknown): string {
  return typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}
