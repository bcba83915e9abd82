import type { Clock } from '../../src/core/clock.ts';

/**
 * How long it may be our own view that is behind, in milliseconds: the kubelet hears of a pod when we do, and its agent
 * may be here first.
 */
const VIEW_BEHIND = 10_000;

/** After so long an agent that asks again is believed to have a new pod, in milliseconds. */
const FORGOTTEN = 60_000;

/** Questions of one agent that are remembered, which is about the pods of a large node. */
const MOST_OF_ONE = 256;

/** Agents whose questions are remembered. */
const MOST_AGENTS = 4_096;

/** What node agents asked for that we could not find. */
export interface EarlyQuestions {
  /** Whether it may be our view that is behind: for ten seconds after this agent first asked for it. */
  mayBeEarly(agent: string, asked: string): boolean;
  /** It was found, so that the next time is a first time again. */
  found(agent: string, asked: string): void;
}

interface Agent {
  /** When each was first asked for, oldest first. */
  readonly since: Map<string, number>;
  /** When the newest of them was. */
  newest: number;
}

/**
 * Remembers when each agent, by the uid of its pod, first asked for what we could not find. Each has its own memory: one
 * that asks for ever more has its own oldest question forgotten, and never another's. To forget a question makes its
 * refusal a "come again" for ten seconds more, and grants nothing.
 */
export function createEarlyQuestions(clock: Pick<Clock, 'elapsed'>): EarlyQuestions {
  // In the order of their newest questions.
  const agents = new Map<string, Agent>();

  const remember = (uid: string, asked: string, now: number): void => {
    const agent = agents.get(uid) ?? { since: new Map<string, number>(), newest: now };
    agent.newest = now;
    agents.delete(uid);
    agents.set(uid, agent);
    dropOldest(agents, MOST_AGENTS);
    agent.since.set(asked, now);
    dropOldest(agent.since, MOST_OF_ONE);
  };
  return {
    mayBeEarly: (uid, asked) => {
      const now = clock.elapsed();
      for (const [known, { newest }] of agents) {
        if (now - newest < FORGOTTEN) break;
        agents.delete(known);
      }
      const since = agents.get(uid)?.since;
      for (const [known, at] of since ?? []) {
        if (now - at < FORGOTTEN) break;
        since?.delete(known);
      }
      const first = since?.get(asked);
      if (first !== undefined) return now - first < VIEW_BEHIND;
      remember(uid, asked, now);
      return true;
    },
    found: (uid, asked) => {
      const since = agents.get(uid)?.since;
      since?.delete(asked);
      if (since?.size === 0) agents.delete(uid);
    },
  };
}

function dropOldest(known: Map<string, unknown>, most: number): void {
  if (known.size <= most) return;
  const [oldest] = known.keys();
  if (oldest !== undefined) known.delete(oldest);
}
