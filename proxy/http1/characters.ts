/** What a byte may be part of, one bit each, so that one table look-up answers in the parser's inner loops. */

/** `tchar` of RFC 9110 5.6.2: field names and tokens. */
export const TOKEN = 1;
/** What a field value may hold: HTAB, SP, VCHAR and obs-text (RFC 9110 5.5). No other control, no NUL, no DEL. */
export const VALUE = 2;
/**
 * Visible ASCII: wider than RFC 3986 allows in a target, because clients send `|`, `"` and `\` and Envoy takes them;
 * what a path may hold is judged by path normalization. Nothing above 0x7E: no two servers read it alike.
 */
export const TARGET = 4;
/** Methods in use are upper case, some with a hyphen (M-SEARCH). Istio answers 400 to a lower-case one. */
export const METHOD = 8;
/** `reg-name` of RFC 3986 without the comma, which joins repeated fields, and `:` and brackets, which are judged apart. */
export const HOST = 16;
export const DIGIT = 32;
export const HEX = 64;
const ALPHANUMERIC = 128;

export const CR = 13;
export const LF = 10;
export const SP = 32;
export const HTAB = 9;
export const COLON = 58;

function classOf(byte: number): number {
  const char = String.fromCharCode(byte);
  const visible = byte > 0x20 && byte < 0x7f;
  return (
    (/[A-Za-z0-9!#$%&'*+\-.^_`|~]/.test(char) ? TOKEN : 0) |
    (visible || byte >= 0x80 || byte === SP || byte === HTAB ? VALUE : 0) |
    (visible ? TARGET : 0) |
    (/[A-Z-]/.test(char) ? METHOD : 0) |
    (/[A-Za-z0-9\-._~%!$&'()*+;=]/.test(char) ? HOST : 0) |
    (/[0-9]/.test(char) ? DIGIT : 0) |
    (/[0-9A-Fa-f]/.test(char) ? HEX : 0) |
    (/[0-9A-Za-z]/.test(char) ? ALPHANUMERIC : 0)
  );
}

const CLASSES = Uint8Array.from({ length: 256 }, (_, byte) => classOf(byte));

/** Whether `byte` is in a class; nothing is past the end of the buffer. */
export function isIn(byte: number | undefined, charClass: number): boolean {
  return byte !== undefined && ((CLASSES[byte] ?? 0) & charClass) !== 0;
}

/** ASCII lower case of one byte. */
export function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

/**
 * A field name as the laxest reader sees it: lower case, and every byte but letters and digits as a hyphen. Gateway
 * interfaces in the manner of CGI (RFC 3875 4.1.18) give `x_forwarded_for` and `x-forwarded-for` to the application
 * as one and the same variable.
 */
function fold(byte: number): number {
  return isIn(byte, ALPHANUMERIC) ? lower(byte) : 0x2d;
}

/** Whether the bytes from `start` to `end` are `text`, which is in lower case, whatever their case. */
export function equalsIgnoringCase(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let index = 0; index < text.length; index += 1) {
    if (lower(bytes[start + index] ?? 0) !== text.charCodeAt(index)) return false;
  }
  return true;
}

/** Whether the bytes from `start` to `end`, folded, are `text`, which is itself folded. */
export function equalsFolded(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let index = 0; index < text.length; index += 1) {
    if (fold(bytes[start + index] ?? 0) !== text.charCodeAt(index)) return false;
  }
  return true;
}
