import type { Random } from '../../src/core/backoff.ts';
import type { Balancing } from '../../src/resources/destination-policy.ts';
import type { UpstreamHost } from './upstream-host.ts';

/** One of several endpoints that calls are spread over. */
export interface Member {
  readonly host: UpstreamHost;
  /** The share of calls; at least 1. */
  readonly weight: number;
  /** `address:port`. */
  readonly destination: string;
}

/** `IN_ORDER`: the first one, and others only when it fails, as with the addresses that a resolver gives. */
export type Picking = Balancing | 'IN_ORDER';

/** Slots that a turn runs through: more than this, and weights are made coarser instead. */
const MAX_SLOTS = 1024;

/** Chooses among endpoints. Costs nothing but the choice: what can be known before is known before. */
export class Balancer<M extends Member> {
  readonly #random: Random;
  #picking: Picking = 'LEAST_REQUEST';
  #slots: readonly M[] = [];
  #turn = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** The endpoints that may be chosen from now on. */
  set(members: readonly M[], picking: Picking): void {
    this.#picking = picking;
    this.#slots = spread(members);
  }

  pick(): M | undefined {
    const slots = this.#slots;
    if (slots.length < 2) return slots[0];
    switch (this.#picking) {
      case 'LEAST_REQUEST':
        return this.#leastRequest();
      case 'RANDOM':
        return slots[this.#below(slots.length)];
      case 'ROUND_ROBIN': {
        const picked = slots[this.#turn % slots.length];
        this.#turn = (this.#turn + 1) % slots.length;
        return picked;
      }
      case 'IN_ORDER':
        return slots[0];
      default:
        return this.#picking satisfies never;
    }
  }

  /**
   * Of two by chance the one with fewer calls under way for its weight: nearly as good as asking all, and callers that
   * do not know of each other do not run to the same one (power of two choices; Envoy's default too).
   */
  #leastRequest(): M | undefined {
    const slots = this.#slots;
    const at = this.#below(slots.length);
    const one = slots[at];
    const other = slots[(at + 1 + this.#below(slots.length - 1)) % slots.length];
    if (one === undefined || other === undefined || one === other) return one;
    return (other.host.load + 1) * one.weight < (one.host.load + 1) * other.weight ? other : one;
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }
}

/** Each endpoint as often as it weighs, spread over the turn so that none is called in a burst. */
function spread<M extends Member>(members: readonly M[]): readonly M[] {
  const lowest = Math.min(...members.map(({ weight }) => weight));
  if (members.every(({ weight }) => weight === lowest)) return members;
  const total = members.reduce((sum, { weight }) => sum + weight, 0);
  const scale = Math.min(1 / lowest, MAX_SLOTS / total);
  const placed = members.flatMap((member) => {
    const count = Math.max(1, Math.round(member.weight * scale));
    return Array.from({ length: count }, (_, index) => ({ member, place: (index + 0.5) / count }));
  });
  return placed.toSorted((a, b) => a.place - b.place).map(({ member }) => member);
}
