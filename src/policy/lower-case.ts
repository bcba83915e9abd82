/**
 * A text in lower case; the very same where it is already. Asking first is for the path of every request: the engine's
 * `toLowerCase` makes a new text before it finds that none was needed.
 */
export function lowerCase(text: string): string {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if ((code >= 0x41 && code <= 0x5a) || code > 0x7f) return text.toLowerCase();
  }
  return text;
}
