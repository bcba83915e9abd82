import type { SealwrightError } from '../../src/core/errors.ts';
import type { AgentStatus } from '../agent/sidecar-config.ts';

export interface ReadinessParts {
  readonly agent: AgentStatus;
  readonly draining: boolean;
  /** Listeners that could not be opened. */
  readonly problems: readonly SealwrightError[];
  /** Whether the listeners of the first configuration were opened. */
  readonly listening: boolean;
  /** Wall milliseconds. */
  readonly now: number;
}

/**
 * Why a sidecar cannot serve, in sentences; empty where it can. A CA that is away is no reason: what is in force
 * serves on (invariant 9).
 */
export function reasonsNotReady({ agent, draining, problems, listening, now }: ReadinessParts): string[] {
  const reasons: string[] = [];
  const because = agent.problem === undefined ? '' : `: ${agent.problem}`;
  if (draining) reasons.push('draining: no new work is taken');
  if (agent.configuration === undefined) reasons.push(`no configuration yet${because}`);
  if (agent.identity === undefined) reasons.push(`no certificate yet${because}`);
  else if (now >= agent.identity.notAfter) {
    reasons.push(`the certificate expired at ${new Date(agent.identity.notAfter).toISOString()}${because}`);
  }
  if (agent.configuration !== undefined && !listening) reasons.push('the listeners are being opened');
  for (const problem of problems) reasons.push(problem.message);
  return reasons;
}
