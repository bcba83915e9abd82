import { strict as assert } from 'node:assert';
import { READ } from '../../../proxy/http1/head-reader.ts';
import type { RequestHead } from '../../../proxy/http1/request-head.ts';
import { RequestReader } from '../../../proxy/http1/request-reader.ts';
import { checkRequest } from '../../../proxy/http1/request-rules.ts';

/** The head of a request with these lines, which has to be one that the engine takes. */
export function headOf(lines: readonly string[]): RequestHead {
  const reader = new RequestReader();
  const bytes = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  assert.equal(reader.read(bytes, 0, bytes.length), READ.complete);
  assert.equal(checkRequest(reader.head, ['websocket']), undefined);
  return reader.head;
}
