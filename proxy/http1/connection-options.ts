import { FIELD } from './field-names.ts';
import type { MessageHead } from './message-head.ts';

export interface ConnectionOptions {
  readonly close: boolean;
  readonly upgrade: boolean;
}

const KEEP: ConnectionOptions = Object.freeze({ close: false, upgrade: false });
const CLOSE: ConnectionOptions = Object.freeze({ close: true, upgrade: false });

/**
 * Fields that no sender may declare to end at the next hop: framing, routing and what answers for somebody. Otherwise
 * `Connection: authorization` would take from the application what policy has judged (RFC 9110 7.6.1).
 */
const NEVER_NOMINATED = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'content-type',
  'content-encoding',
  'expect',
  'authorization',
  'cookie',
  'set-cookie',
  'cache-control',
  'date',
  'origin',
  'forwarded',
]);

/**
 * Reads all Connection fields, and marks the fields that they name as ending at this hop. Undefined when they name one
 * that must not, or are no list of tokens.
 */
export function readConnectionOptions(head: MessageHead): ConnectionOptions | undefined {
  let close = false;
  let upgrade = false;
  for (let field = 0; field < head.count; field += 1) {
    if (head.kinds[field] !== FIELD.connection) continue;
    // Nearly every Connection field there is.
    if (head.valueIs(field, 'keep-alive')) continue;
    if (head.valueIs(field, 'close')) {
      close = true;
      continue;
    }
    for (const part of head.value(field).toLowerCase().split(',')) {
      const option = part.trim();
      if (option === '' || option === 'keep-alive' || option === 'te') continue;
      if (option === 'close') close = true;
      else if (option === 'upgrade') upgrade = true;
      else if (!/^[a-z0-9!#$%&'*+\-.^_`|~]+$/.test(option)) return undefined;
      else if (NEVER_NOMINATED.has(option) || option.startsWith('x-')) return undefined;
      else drop(head, option);
    }
  }
  if (upgrade) return { close, upgrade };
  return close ? CLOSE : KEEP;
}

function drop(head: MessageHead, name: string): void {
  for (let field = 0; field < head.count; field += 1) {
    if (head.name(field).toLowerCase() === name) head.dropped[field] = 1;
  }
}
