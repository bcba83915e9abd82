/** What a token is called in the ledger and in logs: by its own id, else by the account whose it is. */
export function nameOfToken({ id, serviceAccountUid }: { id: string | undefined; serviceAccountUid: string }): string {
  return id === undefined ? `account:${serviceAccountUid}` : `jti:${id}`;
}
