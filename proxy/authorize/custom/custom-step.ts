import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../../src/core/clock.ts';
import type { Logger } from '../../../src/core/logger.ts';
import type { CustomMatch } from '../../../src/policy/connection-decision.ts';
import { refusedByProvider } from '../../../src/policy/verdict.ts';
import type { SidecarConfig } from '../../agent/sidecar-config.ts';
import { ANSWERS, prepareAnswer, type PreparedAnswer } from '../../http1/answers.ts';
import type { PeekedBody, PeekExtent, WaitingClient } from '../../http1/waiting-client.ts';
import type { Denied } from '../../inbound/connection-authorizer.ts';
import type { AskedConnection, AskedRequest, CustomStep, StepOutcome } from '../steps.ts';
import { PASSED } from '../steps.ts';
import type { Changes, Check, CheckAnswer, CheckClient, Failed, PendingCheck } from './check.ts';
import type { CheckMetrics } from './check-metrics.ts';
import { passedWith } from './apply-changes.ts';
import type { AuthorizationProvider, RouteFinder } from './find-provider.ts';
import { createGrpcCheckClient } from './grpc-check-client.ts';
import { createHttpCheckClient } from './http-check-client.ts';
import { NO_CHANGES } from './check.ts';

export interface CustomStepOptions {
  readonly router: RouteFinder;
  readonly clock: Clock;
  readonly metrics: CheckMetrics;
  readonly logger: Pick<Logger, 'warn'>;
}

/** Questions under way for the whole sidecar. Past it a provider is slower than its callers, and waiting helps nobody. */
const MAX_PENDING = 4096;
/** Bytes of bodies that are read ahead for the whole sidecar. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;
/** Milliseconds for a body that is read ahead; the time that Envoy and Node give a head. */
const BODY_TIMEOUT = 60_000;
/** Milliseconds between two lines about the same failing provider. */
const LOG_INTERVAL = 10_000;

const DENIED = 'ext_authz_denied';
const ERROR = 'ext_authz_error';
const FLAGS = 'UAEX';
const REFUSED = Object.freeze({ details: DENIED, why: 'refused' });

const TOO_LARGE: Denied = refused(ANSWERS.tooLarge, '-', 'request_payload_too_large');
const TOO_SLOW: Denied = refused(ANSWERS.timeout, '-', 'request_body_timeout');
/** The client has left: nobody reads what is said here. */
const GONE: Denied = Object.freeze({ allowed: false, flags: 'DC', detail: 'downstream_remote_disconnect' });

interface KnownProvider {
  readonly provider: AuthorizationProvider;
  readonly client: CheckClient;
}

/** One provider of a question, and by which rule it is asked. */
interface AskedProvider extends KnownProvider {
  readonly match: CustomMatch;
}

/** Asks the external authorization providers of the mesh settings. Close it when nothing is asked any more. */
export interface ProviderStep extends CustomStep {
  close(): void;
}

export function createProviderStep(options: CustomStepOptions): ProviderStep {
  return new Providers(options);
}

class Providers implements ProviderStep {
  readonly #options: CustomStepOptions;
  readonly #failures = new Map<string, number>();
  #mesh: SidecarConfig['mesh'] | undefined;
  #byName: ReadonlyMap<string, KnownProvider> = new Map();
  #pending = 0;
  #bodyBytes = 0;

  constructor(options: CustomStepOptions) {
    this.#options = options;
  }

  ask(request: AskedRequest, matches: readonly CustomMatch[]): StepOutcome | Promise<StepOutcome> {
    const providers = this.#find(request.config, matches);
    if ('allowed' in providers) return providers;
    const extent = bodyExtent(request, providers);
    const { client } = request;
    if (extent === undefined || client === undefined) return this.#askAll({ request, providers, body: undefined });
    return this.#withBody({ request, client, providers, extent });
  }

  askConnection(connection: AskedConnection, matches: readonly CustomMatch[]): StepOutcome | Promise<StepOutcome> {
    const providers = this.#find(connection.config, matches);
    if ('allowed' in providers) return providers;
    // As Istio has it, where the port is declared to be TCP. Where only the first bytes say so they may have been chosen
    // to get past the provider, so nothing is let through (invariant 5).
    const asked = providers.filter(({ provider: { kind } }) => kind === 'ext-authz-grpc' || !connection.declared);
    const http = asked.find(({ provider: { kind } }) => kind === 'ext-authz-http');
    if (http !== undefined) return refusedAsTcp(http);
    return asked.length === 0 ? PASSED : this.#askAll({ connection, providers: asked });
  }

  close(): void {
    for (const { client } of this.#byName.values()) client.close();
    this.#byName = new Map();
    this.#mesh = undefined;
  }

  /** Looked up for each question, so that a provider that appears is asked from then on. */
  #find(config: SidecarConfig, matches: readonly CustomMatch[]): readonly AskedProvider[] | Denied {
    if (this.#mesh !== config.mesh) this.#adopt(config.mesh);
    const found: AskedProvider[] = [];
    for (const match of matches) {
      const { provider: name, refusal } = match;
      const known = this.#byName.get(name);
      if (known === undefined) {
        this.#options.metrics.count(name, 'error', 0);
        this.#complain(name, 'it is no authorization provider of the mesh settings');
        return { allowed: false, detail: refusal.details, decided: refusal };
      }
      found.push({ ...known, match });
    }
    return found;
  }

  /** Keeps the connections to those providers of which the settings say the same as before. */
  #adopt(mesh: SidecarConfig['mesh']): void {
    this.#mesh = mesh;
    const before = this.#byName;
    const { router, clock } = this.#options;
    const asked = mesh.extensionProviders.flatMap((provider): KnownProvider[] => {
      if (provider.kind === 'other') return [];
      const known = before.get(provider.name);
      if (known !== undefined && isDeepStrictEqual(known.provider, provider)) return [known];
      const client =
        provider.kind === 'ext-authz-http'
          ? createHttpCheckClient(provider, router)
          : createGrpcCheckClient({ provider, router, clock });
      return [{ provider, client }];
    });
    this.#byName = new Map(asked.map((each) => [each.provider.name, each]));
    for (const [name, { client }] of before) if (this.#byName.get(name)?.client !== client) client.close();
  }

  #withBody({ request, client, providers, extent }: BodyQuestion): Promise<StepOutcome> {
    const { maxBytes } = extent;
    if (this.#bodyBytes + maxBytes > MAX_BODY_BYTES) {
      return Promise.resolve(this.#tooManyBodies(providers));
    }
    this.#bodyBytes += maxBytes;
    return this.#read(client, extent)
      .then((body) => {
        if ('allowed' in body) return body;
        const short = providers.some(({ provider }) => provider.body !== undefined && !fits(body, provider.body));
        return short ? TOO_LARGE : this.#askAll({ request, providers, body });
      })
      .finally(() => {
        this.#bodyBytes -= maxBytes;
      });
  }

  /** Settles also where the client leaves, or takes its time. */
  #read(client: WaitingClient, extent: PeekExtent): Promise<PeekedBody | Denied> {
    const { promise: given, resolve: give } = Promise.withResolvers<Denied>();
    const timer = this.#options.clock.after(BODY_TIMEOUT, () => give(TOO_SLOW));
    client.onGone(() => give(GONE));
    return Promise.race([client.peekBody(extent), given]).finally(() => timer.cancel());
  }

  /** All at once: the slowest says how long it takes. The first that refuses decides, and nobody else is waited for. */
  #askAll(question: Question): Promise<StepOutcome> {
    const { providers } = question;
    const asked = 'request' in question ? question.request : question.connection;
    const answers: (Changes | undefined)[] = providers.map(() => undefined);
    const pending: PendingCheck[] = [];
    let left = providers.length;
    return new Promise((resolve) => {
      const end = (outcome: StepOutcome): void => {
        for (const check of pending) check.cancel();
        resolve(outcome);
      };
      asked.client?.onGone(() => end(GONE));
      for (const [index, provider] of providers.entries()) {
        const check = this.#askOne(provider, question, (outcome) => {
          if ('allowed' in outcome) {
            end(outcome);
            return;
          }
          answers[index] = outcome;
          left -= 1;
          if (left > 0) return;
          const changes = answers.filter((each) => each !== undefined);
          resolve('request' in question ? passedWith(changes) : PASSED);
        });
        pending.push(check);
      }
    });
  }

  #askOne(
    { provider, client, match }: AskedProvider,
    question: Question,
    done: (outcome: Changes | Denied) => void,
  ): PendingCheck {
    const { clock, metrics } = this.#options;
    const { name } = provider;
    const started = clock.elapsed();
    let over = false;
    const settle = (answer: CheckAnswer): void => {
      if (over) return;
      over = true;
      this.#pending -= 1;
      timer.cancel();
      const duration = clock.elapsed() - started;
      if (answer.kind === 'failed') {
        done(this.#failed({ provider, match }, answer, duration));
        return;
      }
      metrics.count(name, answer.kind === 'agreed' ? 'ok' : 'denied', duration);
      done(
        answer.kind === 'agreed'
          ? answer.changes
          : { ...refused(answer.answer, FLAGS, DENIED), decided: refusedByProvider(match, REFUSED) },
      );
    };
    this.#pending += 1;
    const timer = clock.after(provider.timeout, () => {
      settle({ kind: 'failed', reason: `no answer within ${provider.timeout} ms` });
      call?.cancel();
    });
    let call: PendingCheck | undefined;
    if (this.#pending > MAX_PENDING) {
      queueMicrotask(() => settle({ kind: 'failed', reason: `${MAX_PENDING} questions are under way` }));
    } else {
      call = client.check(checkOf(question, provider, clock.now()), settle);
    }
    return {
      cancel: () => {
        if (over) return;
        over = true;
        this.#pending -= 1;
        timer.cancel();
        call?.cancel();
        metrics.count(name, 'cancelled', clock.elapsed() - started);
      },
    };
  }

  #failed(
    { provider, match }: Pick<AskedProvider, 'provider' | 'match'>,
    { reason, answered }: Pick<Failed, 'reason' | 'answered'>,
    duration: number,
  ): Changes | Denied {
    const { name } = provider;
    const failOpen = provider.failOpen && answered !== true;
    this.#options.metrics.count(name, failOpen ? 'failure_mode_allowed' : 'error', duration);
    this.#complain(name, reason);
    if (failOpen) return NO_CHANGES;
    const why = `did not answer: ${reason}`;
    return { ...errorAnswer(provider), decided: refusedByProvider(match, { details: ERROR, why }) };
  }

  /** Refused also with `failOpen`: clients fill our memory with bodies, and no provider is away. */
  #tooManyBodies(providers: readonly AskedProvider[]): StepOutcome {
    const reason = 'too many bodies are being read';
    const denials = providers.map((asked) => this.#failed(asked, { reason, answered: true }, 0));
    return denials.find((outcome) => 'allowed' in outcome) ?? PASSED;
  }

  /** Once in a while: a provider that is down fails for every request. */
  #complain(name: string, reason: string): void {
    const { clock, logger } = this.#options;
    const now = clock.elapsed();
    if (now - (this.#failures.get(name) ?? -Infinity) < LOG_INTERVAL) return;
    this.#failures.set(name, now);
    logger.warn('an authorization provider did not answer', { provider: name, reason });
  }
}

type Question =
  | {
      readonly request: AskedRequest;
      readonly body: PeekedBody | undefined;
      readonly providers: readonly AskedProvider[];
    }
  | { readonly connection: AskedConnection; readonly providers: readonly AskedProvider[] };

interface BodyQuestion {
  readonly request: AskedRequest;
  readonly providers: readonly AskedProvider[];
  readonly client: WaitingClient;
  readonly extent: PeekExtent;
}

function checkOf(question: Question, provider: AuthorizationProvider, time: number): Check {
  if ('connection' in question) {
    const { connection, config } = question.connection;
    return { connection, config, request: undefined, body: undefined, time };
  }
  const { request, body } = question;
  const { connection, config } = request;
  return { connection, config, request, body: bodyFor(provider, body), time };
}

/** The part of the body that this provider asked for. */
function bodyFor({ body: wanted }: AuthorizationProvider, body: PeekedBody | undefined): PeekedBody | undefined {
  if (wanted === undefined || body === undefined) return undefined;
  if (body.bytes.length <= wanted.maxBytes) return body;
  return { bytes: body.bytes.subarray(0, wanted.maxBytes), whole: false };
}

/** How much of the body is read ahead: as much as the one that wants most. */
function bodyExtent({ head }: AskedRequest, providers: readonly AskedProvider[]): PeekExtent | undefined {
  // What follows an upgrade is no body.
  if (head.framing === 'none' || head.upgrade !== undefined) return undefined;
  const wanted = providers.flatMap(({ provider }) => provider.body ?? []);
  if (wanted.length === 0) return undefined;
  return {
    maxBytes: Math.max(...wanted.map(({ maxBytes }) => maxBytes)),
    partial: wanted.every(({ allowPartial }) => allowPartial),
  };
}

function fits(body: PeekedBody, wanted: NonNullable<AuthorizationProvider['body']>): boolean {
  return wanted.allowPartial || (body.whole && body.bytes.length <= wanted.maxBytes);
}

const errorAnswers = new Map<number, Denied>();

function errorAnswer({ statusOnError }: AuthorizationProvider): Denied {
  let denied = errorAnswers.get(statusOnError);
  if (denied === undefined) {
    denied = refused(prepareAnswer({ status: statusOnError, body: '' }), FLAGS, ERROR);
    errorAnswers.set(statusOnError, denied);
  }
  return denied;
}

/** An HTTP provider at a connection that only its first bytes say is not HTTP. */
function refusedAsTcp({ provider: { name }, match }: AskedProvider): Denied {
  const why = 'is asked about HTTP only';
  const details = `${ERROR}{${name} ${why}}`;
  return { ...refused(ANSWERS.denied, FLAGS, details), decided: refusedByProvider(match, { details, why }) };
}

function refused(answer: PreparedAnswer, flags: string, detail: string): Denied {
  return Object.freeze({ allowed: false, answer, flags, detail });
}
