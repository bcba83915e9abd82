/** Unpadded base64url (RFC 7515 2) in the one way it can be written; nothing for any other: Node skips what it does not know. */
export function decodeBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}
