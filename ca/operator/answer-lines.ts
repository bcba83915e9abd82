import { Readable } from 'node:stream';

export function isLines(value: unknown): value is AsyncIterable<string> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/**
 * Newline-delimited text. The last line says how it ended, `{"end":true}` or `{"error":…}`, so that an answer that broke
 * off can never be taken for a short one.
 */
export function answerLines(source: AsyncIterable<string>, answerError: (error: unknown) => Response): Response {
  const text = async function* (): AsyncGenerator<Buffer> {
    let last = '{"end":true}';
    try {
      for await (const line of source) yield Buffer.from(`${line}\n`);
    } catch (error) {
      last = await answerError(error).text();
    }
    yield Buffer.from(`${last}\n`);
  };
  const body = Readable.toWeb(Readable.from(text(), { objectMode: false }));
  return new Response(body as ReadableStream, { headers: { 'content-type': 'application/x-ndjson' } });
}
