import { reasonPhrase, type PreparedAnswer } from '../../http1/answers.ts';
import { isField, type FieldToAdd } from '../field-edits.ts';

export interface DeniedAnswerOptions {
  readonly status: number;
  readonly body: Buffer;
  /** What the provider says besides. Names in any case. */
  readonly fields: readonly FieldToAdd[];
}

/** Written by us for every answer. */
const OURS = new Set(['date', 'server']);

/** What a client is told whom a provider refuses: the provider's status, body and fields, framed by us. */
export function prepareDeniedAnswer({ status: asked, body: given, fields }: DeniedAnswerOptions): PreparedAnswer {
  // Nothing below 200 ends a request, and nothing above 599 has a meaning.
  const status = asked >= 200 && asked <= 599 ? asked : 403;
  // RFC 9110 15.3.5, 15.4.5: these have no body, and so no length.
  const bare = status === 204 || status === 304;
  const body = bare ? Buffer.alloc(0) : given;
  const kept = fields
    .map(([name, value]): FieldToAdd => [name.toLowerCase(), value])
    .filter((field) => isField(field) && !OURS.has(field[0]));
  const typed = kept.some(([name]) => name === 'content-type');
  const lines = [
    `HTTP/1.1 ${status} ${reasonPhrase(status)}`,
    ...(bare ? [] : [`content-length: ${body.length}`]),
    ...(body.length > 0 && !typed ? ['content-type: text/plain'] : []),
    ...kept.map(([name, value]) => `${name}: ${value}`),
    'server: sealwright',
  ];
  return Object.freeze({ status, body, head: Buffer.from(`${lines.join('\r\n')}\r\n`, 'latin1') });
}
