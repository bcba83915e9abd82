import { createPolicyAuthorizer } from '../../../proxy/authorize/policy-authorizer.ts';
import type { KeySets } from '../../../proxy/authorize/tokens/key-sets.ts';
import { createTokenStep } from '../../../proxy/authorize/tokens/token-step.ts';
import { FieldNameSet } from '../../../proxy/http1/field-names.ts';
import type { RequestHead } from '../../../proxy/http1/request-head.ts';
import { writeRequestHead } from '../../../proxy/http1/head-writer.ts';
import type { Verdict } from '../../../proxy/inbound/connection-authorizer.ts';
import type { Clock } from '../../../src/core/clock.ts';
import { RecordingLogger } from '../../fakes/logger.ts';
import type { JwtCall } from '../../peers/jwt-envoy.ts';
import type { TestConfig } from '../sidecar-world.ts';
import { facts, requestOf } from './asked.ts';

export const NO_KEYS: KeySets = { find: () => undefined, askAgain: () => undefined };

/** What came of one call, and what the application would have received. */
export interface TokenAnswer {
  readonly status: number;
  readonly body: string;
  readonly details: string;
  readonly challenge: string | undefined;
  readonly path: string | undefined;
  readonly received: Readonly<Record<string, string>>;
}

/** Judges calls by the configuration in force as the sidecar does, without the network around it. */
export function tokenAsker(
  config: TestConfig,
  { clock, keys = NO_KEYS }: { clock: Pick<Clock, 'now'>; keys?: KeySets },
): (call: JwtCall) => Promise<TokenAnswer> {
  const authorizer = createPolicyAuthorizer({
    config,
    tokens: createTokenStep({ keys, clock }),
    logger: new RecordingLogger(),
  });
  return async ({ method = 'GET', path, headers }) => {
    const lines = Object.entries(headers).flatMap(([name, values]) =>
      (typeof values === 'string' ? [values] : values).map((value) => `${name}: ${value}`),
    );
    const head = requestOf([`${method} ${path} HTTP/1.1`, 'Host: catalog.shop:8080', ...lines]);
    const verdict = await authorizer.forConnection(facts({ peer: undefined })).decide(head, path);
    return answerOf(head, verdict);
  };
}

function answerOf(head: RequestHead, verdict: Verdict): TokenAnswer {
  if (verdict.allowed) {
    const out = Buffer.alloc(64 * 1024);
    const edits = verdict.edits ?? { strip: FieldNameSet.none, add: undefined };
    const [start = '', ...fields] = out
      .toString('latin1', 0, writeRequestHead(head, edits, verdict.path, out, 0))
      .split('\r\n');
    const received = fields
      .filter((line) => line !== '')
      .map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2).trim()]);
    return {
      status: 200,
      body: '',
      details: '',
      challenge: undefined,
      path: start.split(' ')[1],
      received: Object.fromEntries(received) as Record<string, string>,
    };
  }
  const { answer, detail } = verdict;
  const challenge = /^www-authenticate: (.*)\r$/m.exec(answer?.head.toString('latin1') ?? '')?.[1];
  const body = answer?.body.toString() ?? 'RBAC: access denied';
  return { status: answer?.status ?? 403, body, details: detail, challenge, path: undefined, received: {} };
}
