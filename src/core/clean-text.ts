/**
 * Where a PEM block or a JWT begins: `eyJ` and `eyA` are `{"` and `{ ` in base64url, the first bytes of a JWT header
 * (RFC 7515 3.3).
 */
const SECRET = /-----BEGIN[\s\S]*?(?:-----END[^-]*-----|$)|ey[AJ][A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*/g;

/**
 * Makes a text made elsewhere fit to be written down, in the ledger or the log: well-formed Unicode, at most `longest`
 * UTF-16 units, and with anything that looks like a PEM block or a JWT taken out (invariant 2). Cleaning twice changes
 * nothing more.
 */
export function cleanText(text: string, longest: number): string {
  // Cut first, so that a huge text costs nothing; what is cut off is never written.
  const redacted = text
    .slice(0, longest * 4)
    .toWellFormed()
    .replace(SECRET, '[redacted]');
  return redacted.length <= longest ? redacted : redacted.slice(0, longest).toWellFormed();
}
