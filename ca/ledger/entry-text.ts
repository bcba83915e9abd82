/** Where a PEM block or a JWT begins: `eyJ` is `{"` in base64url, the first bytes of every JWT header (RFC 7515 3.3). */
const SECRET = /-----BEGIN[\s\S]*?(?:-----END[^-]*-----|$)|eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*/g;

/**
 * Makes a text made elsewhere fit for the ledger: well-formed Unicode, at most `longest` UTF-16 units, and with
 * anything that looks like a PEM block or a JWT taken out (invariant 2). Cleaning twice changes nothing more.
 */
export function cleanText(text: string, longest: number): string {
  // Cut first, so that a huge text costs nothing; what is cut off is never written.
  const redacted = text
    .slice(0, longest * 4)
    .toWellFormed()
    .replace(SECRET, '[redacted]');
  return redacted.length <= longest ? redacted : redacted.slice(0, longest).toWellFormed();
}
