import type { CustomMatch } from '../../src/policy/connection-decision.ts';
import type { JwtFacts } from '../../src/policy/facts.ts';
import { joinedHeader } from '../../src/policy/header-value.ts';
import type { SidecarConfig } from '../agent/sidecar-config.ts';
import { FieldNameSet } from '../http1/field-names.ts';
import type { HeadEdits } from '../http1/head-writer.ts';
import type { RequestHead } from '../http1/request-head.ts';
import type { WaitingClient } from '../http1/waiting-client.ts';
import type { Allowed } from '../inbound/connection-authorizer.ts';
import type { ConnectionFacts } from '../inbound/connection-facts.ts';
import { encodeFields, type FieldToAdd } from './field-edits.ts';
import type { JudgedRequest } from './judged-request.ts';
import type { AskedRequest, Passed } from './steps.ts';

/** A request that was allowed, as it was judged: what a tunnel that it opened is judged by again. */
export interface AgreedRequest {
  readonly head: RequestHead;
  readonly path: string;
  readonly added?: readonly FieldToAdd[] | undefined;
  readonly jwt?: JwtFacts | undefined;
  /** The providers that agreed. */
  readonly asked?: ReadonlySet<string> | undefined;
}

/** One request that goes through the steps, and what they have made of it so far. */
export class RequestInSteps implements AskedRequest {
  readonly head: RequestHead;
  readonly connection: ConnectionFacts;
  readonly config: SidecarConfig;
  readonly client: WaitingClient | undefined;
  readonly #judged: JudgedRequest;
  readonly #droppedBefore: Uint8Array;
  #asked: ReadonlySet<string> | undefined;
  #path: string;
  #rewritten = false;
  #added: readonly FieldToAdd[] = [];
  #response: HeadEdits | undefined;
  #jwt: JwtFacts | undefined;

  /** @param asked `judged` is for this request alone, as others may be judged while it waits */
  constructor(
    asked: Pick<AskedRequest, 'head' | 'path' | 'connection' | 'config' | 'client'> & { judged: JudgedRequest },
  ) {
    const { head, path, connection, config, client, judged } = asked;
    this.head = head;
    this.connection = connection;
    this.config = config;
    this.client = client;
    this.#path = path;
    this.#judged = judged;
    this.#droppedBefore = head.dropped.slice(0, head.count);
  }

  get path(): string {
    return this.#path;
  }

  get scheme(): 'http' | 'https' {
    return this.connection.peer === undefined ? 'http' : 'https';
  }

  header(name: string): string | undefined {
    return joinedHeader(this.judged().header(name));
  }

  asked(matches: readonly CustomMatch[]): void {
    this.#asked = new Set(matches.map(({ provider }) => provider));
  }

  /** As policy sees it now. */
  judged(): JudgedRequest {
    return this.#judged.show(this.head, this.#path).amend(this.#added, this.#jwt);
  }

  /** Takes over what a step wants. */
  take({ edits, responseEdits, path, jwt }: Passed): void {
    if (edits !== undefined) {
      const { remove, add } = edits;
      this.head.drop(remove);
      // What an earlier step added goes as well: else its name would still be free for somebody else's word.
      const kept = this.#added.filter(([name]) => {
        const bytes = Buffer.from(name, 'latin1');
        return !remove.has(bytes, 0, bytes.length);
      });
      this.#added = [...kept, ...add];
    }
    if (responseEdits !== undefined) this.#response = responseEdits;
    if (path !== undefined) {
      this.#path = path;
      this.#rewritten = true;
    }
    if (jwt !== undefined) this.#jwt = jwt;
  }

  /** Makes the head what it was before the first step. */
  undo(): void {
    this.head.dropped.set(this.#droppedBefore);
  }

  agreed(): AgreedRequest {
    return { head: this.head, path: this.#path, added: this.#added, jwt: this.#jwt, asked: this.#asked };
  }

  /** What is to be changed on the way; undefined where that is nothing. */
  allowed(): Allowed | undefined {
    const edited = this.#added.length > 0;
    if (!edited && this.#response === undefined && !this.#rewritten) return undefined;
    return {
      allowed: true,
      edits: edited ? { strip: FieldNameSet.none, add: encodeFields(this.#added) } : undefined,
      responseEdits: this.#response,
      path: this.#rewritten ? this.#path : undefined,
    };
  }
}
