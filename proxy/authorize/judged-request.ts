import { withLine, type HeaderValue } from '../../src/policy/header-value.ts';
import type { IpAddress } from '../../src/policy/ip-address.ts';
import type { JwtFacts, RequestFacts } from '../../src/policy/facts.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { FieldToAdd } from './field-edits.ts';
import type { TrustedProxies } from './trusted-proxies.ts';

const NOTHING: readonly FieldToAdd[] = Object.freeze([]);

/**
 * A request as policy sees it. One object serves all requests of a connection, so that judging allocates nothing; the
 * head gives what a rule asks for, and no more is read.
 */
export class JudgedRequest implements RequestFacts {
  readonly #proxies: TrustedProxies | undefined;
  readonly #scheme: string;
  #head: RequestHead | undefined;
  #target = '';
  #added: readonly FieldToAdd[] = NOTHING;
  path = '';
  jwt: JwtFacts | undefined;

  /** @param proxies where the direct peer is a trusted proxy, which may name its client */
  constructor(scheme: 'http' | 'https', proxies: TrustedProxies | undefined) {
    this.#scheme = scheme;
    this.#proxies = proxies;
  }

  /** @param target path and query as the application will receive them (invariant 7) */
  show(head: RequestHead, target: string): this {
    const query = target.indexOf('?');
    this.#head = head;
    this.#target = target;
    this.path = query === -1 ? target : target.slice(0, query);
    return this;
  }

  /** What steps of authorization made of it: fields that stand behind the request's own, and a verified token. */
  amend(added: readonly FieldToAdd[], jwt: JwtFacts | undefined): this {
    this.#added = added;
    this.jwt = jwt;
    return this;
  }

  get method(): string {
    return this.#head?.method ?? '';
  }

  get host(): string | undefined {
    const authority = this.#head?.authority;
    return authority === '' ? undefined : authority;
  }

  get remoteIp(): IpAddress | undefined {
    return this.#proxies?.clientOf(this.#head?.get('x-forwarded-for'));
  }

  readonly header = (name: string): HeaderValue => {
    if (!name.startsWith(':')) return this.#field(name);
    switch (name) {
      case ':path':
        return this.#target;
      case ':method':
        return this.method;
      case ':authority':
        return this.host;
      case ':scheme':
        return this.#scheme;
      default:
        return undefined;
    }
  };

  #field(name: string): HeaderValue {
    let found = this.#head?.lines(name);
    for (const [added, value] of this.#added) {
      if (added === name) found = withLine(found, value);
    }
    return found;
  }
}
