import { isUtf8 } from 'node:buffer';

/** What a JSON object was read into. Read its members with `member`: a name such as `constructor` is inherited. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Reads one JSON object in UTF-8, in which no object at any depth has the same name twice: readers differ in which
 * of two they believe (RFC 7515 4, RFC 7519 4), and a signature covers both.
 *
 * `refuse` is called with the reason, lower case, and must throw. The reason holds no part of the text but a name.
 */
export function parseJsonObject(bytes: Buffer, refuse: (reason: string) => never): JsonObject {
  if (!isUtf8(bytes)) return refuse('not UTF-8');
  const text = bytes.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The engine's message quotes the text, which may be a part of a token (invariant 2).
    return refuse('not JSON');
  }
  if (!isJsonObject(value)) return refuse('not a JSON object');
  const twice = repeatedName(text);
  if (twice !== undefined) return refuse(`the name ${JSON.stringify(twice.slice(0, 64))} stands twice in one object`);
  return value;
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** One own member of an object, or undefined. */
export function member(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST] = [0x7b, 0x7d, 0x5b, 0x5d];

/** The first name that an object holds twice. The text has been parsed before: only valid JSON is walked here. */
function repeatedName(text: string): string | undefined {
  // The names of the objects around; undefined stands for a list.
  const around: (Set<string> | undefined)[] = [];
  let names: Set<string> | undefined;
  let nameIsNext = false;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case QUOTE: {
        const start = at;
        for (at += 1; text.charCodeAt(at) !== QUOTE; at += 1) if (text.charCodeAt(at) === BACKSLASH) at += 1;
        if (!nameIsNext || names === undefined) break;
        const name = unescapeName(text.slice(start, at + 1));
        if (names.has(name)) return name;
        names.add(name);
        nameIsNext = false;
        break;
      }
      case OPEN_OBJECT:
        around.push(names);
        names = new Set();
        nameIsNext = true;
        break;
      case OPEN_LIST:
        around.push(names);
        names = undefined;
        break;
      case CLOSE_OBJECT:
      case CLOSE_LIST:
        names = around.pop();
        nameIsNext = false;
        break;
      case COMMA:
        nameIsNext = names !== undefined;
        break;
    }
  }
  return undefined;
}

/** `"a\u0062"` and `"ab"` are one name. */
function unescapeName(quoted: string): string {
  return quoted.includes('\\') ? String(JSON.parse(quoted)) : quoted.slice(1, -1);
}
