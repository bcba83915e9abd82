import { isJsonObject, member, parseJsonObject, type JsonObject } from '../token/strict-json.ts';

/** What the API server says of a token. */
export type TokenReviewAnswer =
  | {
      readonly authenticated: true;
      readonly username: string;
      readonly uid: string | undefined;
      readonly groups: readonly string[];
      /** Further facts by name, such as `authentication.kubernetes.io/pod-name`. */
      readonly extra: ReadonlyMap<string, readonly string[]>;
      /** Those of the audiences asked for that the token is good for. Empty: the server did not judge by audience. */
      readonly audiences: readonly string[];
    }
  | { readonly authenticated: false; readonly error: string };

/** How much of the server's own words is passed on, in characters. */
const LONGEST_ERROR = 300;

interface Reading {
  /** The token under review, so that it can be kept out of what is passed on. */
  readonly token: string;
  /** Called with a reason where the answer is no TokenReview; must throw. */
  readonly unreadable: (reason: string) => never;
}

/** Reads the answer to a TokenReview, every field of it checked. Only the literal `true` authenticates. */
export function readTokenReviewStatus(body: Buffer, { token, unreadable }: Reading): TokenReviewAnswer {
  const status = member(parseJsonObject(body, unreadable), 'status');
  if (!isJsonObject(status)) return unreadable('a TokenReview without status');
  if (member(status, 'authenticated') !== true) {
    const error = member(status, 'error');
    return { authenticated: false, error: typeof error === 'string' ? withoutToken(error, token) : '' };
  }
  const user = member(status, 'user');
  if (!isJsonObject(user)) return unreadable('a TokenReview that authenticates nobody');
  const [username, uid] = [member(user, 'username'), member(user, 'uid')];
  if (typeof username !== 'string') return unreadable('a TokenReview without user name');
  return {
    authenticated: true,
    username,
    uid: typeof uid === 'string' ? uid : undefined,
    groups: texts(user, 'groups', unreadable),
    extra: readExtra(user, unreadable),
    audiences: texts(status, 'audiences', unreadable),
  };
}

function readExtra(user: JsonObject, unreadable: Reading['unreadable']): Map<string, readonly string[]> {
  const extra = member(user, 'extra') ?? {};
  if (!isJsonObject(extra)) return unreadable('a TokenReview whose extra is not an object');
  return new Map(Object.keys(extra).map((name) => [name, texts(extra, name, unreadable)]));
}

function texts(object: JsonObject, name: string, unreadable: Reading['unreadable']): readonly string[] {
  const value: unknown = member(object, name) ?? [];
  if (!Array.isArray(value)) return unreadable(`a TokenReview whose ${name} is not a list`);
  return value.map((item: unknown) =>
    typeof item === 'string' ? item : unreadable(`a TokenReview whose ${name} holds something else than texts`),
  );
}

/** Validation errors of Kubernetes quote the value that they refuse. */
function withoutToken(error: string, token: string): string {
  return error.replaceAll(token, '[redacted]').slice(0, LONGEST_ERROR);
}
