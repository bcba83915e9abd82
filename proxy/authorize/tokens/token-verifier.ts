import { hash } from 'node:crypto';
import type { Clock } from '../../../src/core/clock.ts';
import type { JwtFacts } from '../../../src/policy/facts.ts';
import { keySetName, type TokenRule } from '../../../src/policy/request-authentication.ts';
import { EMPTY_KEY_SET, type JwkSet } from '../../../src/token/jwks.ts';
import { readRequestToken, type RequestToken, type TokenFault } from '../../../src/token/request-token.ts';
import { createFieldEdits, type FieldToAdd } from '../field-edits.ts';
import { claimHeaderValue } from './claim-header.ts';
import type { KeySets } from './key-sets.ts';

/** Seconds that the clocks of issuer and sidecar may differ: Envoy's. */
const LEEWAY = 60;

/** Verified tokens that one rule remembers. */
const MOST_REMEMBERED = 1_024;

/** A token that a rule's keys signed. */
export interface VerifiedToken {
  readonly token: RequestToken;
  readonly jwt: JwtFacts;
  /** What the application is told of it. */
  readonly fields: readonly FieldToAdd[];
}

/** Verifies single tokens by one rule, and remembers those whose signature was right for as long as the keys stay. */
export class TokenVerifier {
  readonly #rule: TokenRule;
  readonly #inline: JwkSet | undefined;
  readonly #keys: KeySets;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #audiences: ReadonlySet<string>;
  #rememberedOf: JwkSet | undefined;
  #remembered = new Map<string, VerifiedToken>();

  /** @param inline the keys of a rule that has its own */
  constructor(rule: TokenRule, parts: { inline: JwkSet | undefined; keys: KeySets; clock: Pick<Clock, 'now'> }) {
    this.#rule = rule;
    this.#inline = parts.inline;
    this.#keys = parts.keys;
    this.#clock = parts.clock;
    this.#audiences = new Set(rule.audiences.map(bareAudience));
  }

  /** A promise only where keys have to be waited for. */
  verify(compact: string): VerifiedToken | TokenFault | Promise<VerifiedToken | TokenFault> {
    const key = hash('sha256', compact, 'base64');
    const known = this.#recall(key);
    if (known !== undefined) return this.#claimFault(known.token) ?? known;
    const token = readRequestToken(compact);
    if (typeof token === 'string') return token;
    const fault = this.#claimFault(token);
    if (fault !== undefined) return fault;
    const verdict = this.#verifySignature(token, key);
    const { timeout } = this.#rule;
    const name = keySetName(this.#rule.keys);
    // Only a key that is not known may become known; what is signed wrongly stays so.
    if ((verdict !== 'noKey' && verdict !== 'noKeys') || name === undefined) return verdict;
    const asked = this.#keys.askAgain(name, timeout);
    return asked === undefined
      ? verdict
      : asked.then(() => this.#claimFault(token) ?? this.#verifySignature(token, key));
  }

  #keySet(): JwkSet | undefined {
    const name = keySetName(this.#rule.keys);
    return name === undefined ? (this.#inline ?? EMPTY_KEY_SET) : this.#keys.find(name);
  }

  #recall(key: string): VerifiedToken | undefined {
    if (this.#rememberedOf === undefined || this.#rememberedOf !== this.#keySet()) return undefined;
    return this.#remembered.get(key);
  }

  /** In Envoy's order. */
  #claimFault({ issuer, audiences, expiresAt, notBefore }: RequestToken): TokenFault | undefined {
    const rule = this.#rule;
    if (rule.issuer !== '' && issuer !== rule.issuer) return 'issuer';
    const now = Math.floor(this.#clock.now() / 1_000);
    if (notBefore !== undefined && now + LEEWAY < notBefore) return 'notYetValid';
    if (expiresAt !== undefined && now > expiresAt + LEEWAY) return 'expired';
    if (this.#audiences.size === 0) return undefined;
    return audiences.some((audience) => this.#audiences.has(bareAudience(audience))) ? undefined : 'audiences';
  }

  #verifySignature(token: RequestToken, key: string): VerifiedToken | TokenFault {
    const set = this.#keySet();
    if (set === undefined) return 'noKeys';
    const fault = token.verify(set.keys);
    if (fault !== undefined) return fault;
    const verified = this.#describe(token);
    if (this.#rememberedOf !== set) {
      this.#rememberedOf = set;
      this.#remembered = new Map();
    }
    if (this.#remembered.size >= MOST_REMEMBERED) {
      // The one that came first: under a flood of tokens all are new anyway.
      for (const oldest of this.#remembered.keys()) {
        this.#remembered.delete(oldest);
        break;
      }
    }
    this.#remembered.set(key, verified);
    return verified;
  }

  #describe(token: RequestToken): VerifiedToken {
    const { payloadHeader, claimHeaders, spaceDelimitedClaims } = this.#rule;
    const fields: FieldToAdd[] = [];
    if (payloadHeader !== undefined) fields.push([payloadHeader, token.payload]);
    for (const { header, claim } of claimHeaders) {
      const value = claimHeaderValue(token.claims, claim);
      if (value !== undefined) fields.push([header, value]);
    }
    return Object.freeze({
      token,
      jwt: Object.freeze({ claims: token.claims, spaceDelimitedClaims }),
      // Without what is no field: a claim may hold a line end.
      fields: createFieldEdits({ add: fields }).add,
    });
  }
}

/** As Envoy compares audiences: without the scheme of a URL and the slash at its end. */
function bareAudience(audience: string): string {
  return audience.replace(/^https?:\/\//, '').replace(/\/$/, '');
}
