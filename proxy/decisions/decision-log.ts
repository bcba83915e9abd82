import type { Clock } from '../../src/core/clock.ts';
import { TokenBucket } from '../../src/core/token-bucket.ts';
import type { AskedFields } from '../../src/policy/asked-fields.ts';
import type { CompiledPolicies } from '../../src/policy/compile-policies.ts';
import type { Explanation } from '../../src/policy/explain.ts';
import type { ConnectionFacts, RequestFacts } from '../../src/policy/facts.ts';
import { reasonInShort } from '../../src/policy/reason-in-short.ts';
import { atOnce, type Slices } from '../../src/policy/slices.ts';
import type { Verdict } from '../../src/policy/verdict.ts';
import type { RequestHead } from '../http1/request-head.ts';
import { redactTarget } from '../http1/redact-target.ts';
import { DecisionRing, type NotedDecision } from './decision-ring.ts';

/** Who judged, by what. */
export interface Judged {
  readonly policies: CompiledPolicies;
  readonly connection: ConnectionFacts;
}

/** One decision, told. Plain values that hold no credential. */
export interface DecisionReport {
  /** ISO 8601. */
  readonly time: string;
  readonly requestId: string;
  /** What was judged. */
  readonly call: {
    /** A SPIFFE ID; absent in plaintext. */
    readonly from?: string | undefined;
    /** Of an opaque connection there is no method, path and host. */
    readonly protocol: 'http' | 'tcp';
    readonly method?: string | undefined;
    readonly path?: string | undefined;
    readonly host?: string | undefined;
    readonly port: number;
    readonly sourceIp: string;
    readonly remoteIp: string;
    readonly sni?: string | undefined;
  };
  readonly verdict: Verdict;
  /** By the very policies that were in force; absent where these are not held any more. */
  readonly explanation?: Explanation | undefined;
  /** What a reader has to know to trust the explanation no further than it goes. */
  readonly notes: readonly string[];
}

export interface DecisionLogOptions {
  readonly clock: Clock;
  /** How many decisions are kept. */
  readonly capacity: number;
  readonly randomBytes: (size: number) => Buffer;
}

/** A connection that was refused as a whole, as the access log tells of it. */
export interface RefusedConnection {
  /** What `policy explain --id` is asked with. */
  readonly id: string;
  /** As `denial` has it. */
  readonly denial: string | undefined;
}

/** Sets of policies that are kept, those of HTTP and of TCP each by itself. Large meshes have large ones. */
const HELD_SETS = 8;
/** Decisions that are told for one id: it is the caller's word, and may be used often. */
const MOST_TOLD = 20;
/** A flood of denials must not become a flood of explanations: walking all rules costs far more than denying. */
const EXPLAINED_PER_SECOND = 50;
/** Nor may it take all the time where walking them takes long: so much of it is left for everything else, for each share. */
const REST_FOR_EACH = 19;

/** The rest of a request that rules ask for, as it is kept. */
interface More {
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly claims?: Readonly<Record<string, unknown>> | undefined;
  readonly spaces?: readonly string[] | undefined;
}

interface HeldSet {
  readonly generation: number;
  readonly policies: CompiledPolicies;
  readonly asked: AskedFields;
  /** Whether anything beyond method, host and path is to be kept. */
  readonly more: boolean;
}

/** Keeps the last decisions, and explains them later by the policies that made them. */
export class DecisionLog {
  readonly #clock: Clock;
  readonly #ring: DecisionRing;
  readonly #limit: TokenBucket;
  /** Connections have no id of their own; these are the only ones that are named so. */
  readonly #idStart: string;
  #connections = 0;
  readonly #refused = new WeakMap<object, string>();
  /** Elapsed milliseconds before which nothing is explained for the log. */
  #restUntil = 0;
  /** Oldest first; the last judged last. */
  readonly #held: HeldSet[] = [];
  #current: HeldSet | undefined;
  /** The same object for each note, written anew. */
  readonly #parts: {
    connection: ConnectionFacts;
    verdict: Verdict;
    client: RequestFacts['remoteIp'];
    generation: number;
  };

  constructor({ clock, capacity, randomBytes }: DecisionLogOptions) {
    this.#clock = clock;
    this.#idStart = `tcp-${randomBytes(8).toString('hex')}-`;
    this.#ring = new DecisionRing(capacity);
    this.#limit = new TokenBucket({ burst: EXPLAINED_PER_SECOND, perSecond: EXPLAINED_PER_SECOND, clock });
    this.#parts = { connection: NOWHERE, verdict: UNDECIDED, client: undefined, generation: 0 };
  }

  /** Takes note of a decision. On the path of every request: allocates nothing where no rule asks for header or claim. */
  note(head: RequestHead, request: RequestFacts, { policies, connection }: Judged, verdict: Verdict): void {
    const set = this.#setOf(policies);
    const parts = this.#parts;
    parts.connection = connection;
    parts.verdict = verdict;
    parts.client = connection.remoteIp === 'per-request' ? request.remoteIp : undefined;
    parts.generation = set.generation;
    this.#ring.note(this.#clock.now(), head, request.path, set.more ? moreOf(request, set.asked) : '', parts);
  }

  /** The same of an opaque connection that is refused. @param whose what it is known by to `refusalOf` */
  noteRefused(whose: object, { policies, connection }: Judged, verdict: Verdict): void {
    this.#connections += 1;
    const id = `${this.#idStart}${this.#connections}`;
    this.#refused.set(whose, id);
    const { generation } = this.#setOf(policies);
    this.#ring.noteConnection(this.#clock.now(), id, { connection, verdict, client: undefined, generation });
  }

  /** What is known of an opaque connection that was refused; nothing of any other. */
  refusalOf(whose: object): RefusedConnection | undefined {
    const id = this.#refused.get(whose);
    return id === undefined ? undefined : { id, denial: this.denial(id) };
  }

  /** Every decision with this request id that is still kept, newest first. */
  find(id: string): DecisionReport[] {
    return atOnce(this.findInSlices(id));
  }

  /** The same, pausing where others may have a turn: there may be a hundred thousand rules to be asked, for each of them. */
  *findInSlices(id: string): Slices<DecisionReport[]> {
    const reports: DecisionReport[] = [];
    for (const noted of this.#ring.find(id, MOST_TOLD)) reports.push(yield* this.#report(noted));
    return reports;
  }

  /** Why the newest request with this id was denied, in one line; without the fields where these would cost too much now. */
  denial(id: string): string | undefined {
    const [noted] = id === '' ? [] : this.#ring.find(id, 1);
    if (noted === undefined || noted.verdict.allow) return undefined;
    const began = this.#clock.elapsed();
    // Rules have no part in what a provider or a token decided.
    if (isOfStep(noted.verdict) || began < this.#restUntil || !this.#limit.take()) return noted.verdict.reason;
    const { connection, verdict, generation } = noted;
    const brief = this.#heldSet(generation)?.policies.explainBriefly(verdict, connection, requestOf(noted));
    const ended = this.#clock.elapsed();
    this.#restUntil = ended + (ended - began) * REST_FOR_EACH;
    return brief === undefined ? undefined : reasonInShort(brief);
  }

  #setOf(policies: CompiledPolicies): HeldSet {
    const set = this.#current;
    return set?.policies === policies ? set : this.#hold(policies);
  }

  #hold(policies: CompiledPolicies): HeldSet {
    const known = this.#held.find((held) => held.policies === policies);
    if (known !== undefined) return (this.#current = known);
    const asked = policies.asked;
    const generation = (this.#held.at(-1)?.generation ?? 0) + 1;
    const set = { generation, policies, asked, more: asked.headers.length > 0 || asked.claims.length > 0 };
    this.#held.push(set);
    if (this.#held.length > HELD_SETS) this.#held.shift();
    return (this.#current = set);
  }

  #heldSet(generation: number): HeldSet | undefined {
    return this.#held.find((held) => held.generation === generation);
  }

  *#report(noted: NotedDecision): Slices<DecisionReport> {
    const { connection, verdict, generation } = noted;
    const set = this.#heldSet(generation);
    const request = requestOf(noted);
    const explained = set === undefined ? undefined : yield* set.policies.explainInSlices(connection, request);
    const explanation = explained === undefined ? undefined : asDecided(explained, verdict);
    return {
      time: new Date(noted.time).toISOString(),
      requestId: noted.id,
      call: {
        from: connection.identity?.toString(),
        protocol: noted.protocol,
        ...(request !== undefined ? { method: noted.method, path: redactTarget(noted.path), host: noted.host } : {}),
        port: connection.destinationPort,
        sourceIp: connection.sourceIp.text,
        remoteIp: remoteIpOf(noted),
        sni: connection.sni,
      },
      verdict,
      explanation,
      notes: notesOf(noted, set, explanation),
    };
  }
}

const OF_STEPS: ReadonlySet<string> = new Set(['provider', 'token', 'custom-unsupported', 'failure']);

function isOfStep({ decidedBy }: Verdict): boolean {
  return typeof decidedBy === 'string' && OF_STEPS.has(decidedBy);
}

/** With the verdict of the same step: rules can tell whom they asked, not what was answered. No dry run changes that. */
function asDecided(explanation: Explanation, decided: Verdict): Explanation {
  if (isOfStep(decided)) return { ...explanation, verdict: decided, dryRun: undefined };
  return { ...explanation, verdict: explanation.judged };
}

function notesOf(noted: NotedDecision, set: HeldSet | undefined, explanation: Explanation | undefined): string[] {
  const notes: string[] = [];
  if (explanation === undefined) notes.push('the policies of that time are not kept any more: only the verdict is');
  if (noted.cut) notes.push('the request was longer than what is kept of it');
  const secrets = noted.protocol === 'http' ? (set?.asked.secretHeaders ?? []) : [];
  if (secrets.length > 0) notes.push(`not kept, for it may be a credential: ${secrets.join(', ')}`);
  if (explanation !== undefined && explanation.verdict.reason !== noted.verdict.reason) {
    notes.push(`judged again from what was kept it comes out otherwise: ${explanation.verdict.reason}`);
  }
  return notes;
}

function remoteIpOf({ connection, client }: NotedDecision): string {
  const { remoteIp, sourceIp } = connection;
  return (remoteIp === 'per-request' ? (client ?? sourceIp) : remoteIp).text;
}

/** The request as policies see it, from what was kept; nothing of an opaque connection. */
function requestOf({ protocol, method, host, path, more, client }: NotedDecision): RequestFacts | undefined {
  if (protocol !== 'http') return undefined;
  const { headers, claims, spaces } = readMore(more);
  return {
    method,
    host: host === '' ? undefined : host,
    path,
    header: (name) => (Object.hasOwn(headers, name) ? headers[name] : undefined),
    jwt: claims === undefined ? undefined : { claims, spaceDelimitedClaims: spaces },
    remoteIp: client,
  };
}

function moreOf(request: RequestFacts, { headers, claims }: AskedFields): string {
  // Names are a policy's: one like __proto__ must be kept as any other.
  const kept = new Map<string, string | readonly string[]>();
  for (const name of headers) {
    const value = request.header(name);
    if (value !== undefined)
      kept.set(name, name === ':path' && typeof value === 'string' ? redactTarget(value) : value);
  }
  const { jwt } = request;
  if (jwt === undefined || claims.length === 0)
    return kept.size === 0 ? '' : JSON.stringify({ headers: Object.fromEntries(kept) });
  const own = Object.entries(jwt.claims).filter(([name]) => claims.includes(name));
  const more: More = {
    headers: Object.fromEntries(kept),
    claims: Object.fromEntries(own),
    spaces: jwt.spaceDelimitedClaims,
  };
  return JSON.stringify(more);
}

/** What `moreOf` wrote: nobody else writes there. */
function readMore(text: string): More {
  return text === '' ? { headers: {} } : (JSON.parse(text) as More);
}

const NO_ADDRESS = Object.freeze({ family: 4, words: [0], text: '0.0.0.0' } as const);
const NOWHERE: ConnectionFacts = Object.freeze({
  identity: undefined,
  sourceIp: NO_ADDRESS,
  remoteIp: NO_ADDRESS,
  destinationIp: NO_ADDRESS,
  destinationPort: 0,
  sni: undefined,
});
const UNDECIDED: Verdict = Object.freeze({
  allow: false,
  decidedBy: 'no-allow-matched',
  matched: undefined,
  details: '',
  reason: '',
});
