import { isRecord, type KubernetesObject } from '../../src/kubernetes/kubernetes-object.ts';
import type { StatusContent } from './policy-conditions.ts';

/** Since when a condition has its status, in wall milliseconds. */
export interface Transition {
  readonly status: string;
  readonly since: number;
}

/** What an object's status says, as far as it is ours to write. */
export interface WrittenStatus {
  /** Differs where anything but a time does. */
  readonly text: string;
  readonly transitions: ReadonlyMap<string, Transition>;
}

/** Two contents with one text need not be written one after the other. */
export function textOf({ generation, conditions, messages }: StatusContent): string {
  return JSON.stringify([
    generation ?? null,
    conditions.map(({ type, status, reason, message }) => [type, status, reason, message]),
    messages.map(({ type: { name, code }, level }) => [name, code, level]),
  ]);
}

/** When each condition came to be what it is now. */
export function transitionsOf(
  { conditions }: StatusContent,
  before: ReadonlyMap<string, Transition>,
  now: number,
): ReadonlyMap<string, Transition> {
  return new Map(
    conditions.map(({ type, status }) => {
      const known = before.get(type);
      return [type, known?.status === status ? known : { status, since: now }];
    }),
  );
}

/**
 * The body of a server-side apply on `status`: Istio's `meta/v1alpha1.IstioStatus`, with nothing in it that Istio's own
 * CRDs do not declare. With the uid, so that a new object of the name gets nothing that is said of the old one.
 */
export function statusBody(
  { generation, conditions, messages }: StatusContent,
  {
    uid,
    transitions,
    whole,
  }: { readonly uid: string; readonly transitions: ReadonlyMap<string, Transition>; readonly whole: boolean },
): Readonly<Record<string, unknown>> {
  const observed = generation === undefined ? {} : { observedGeneration: generation };
  const timed = conditions.map((condition) => {
    const since = transitions.get(condition.type)?.since ?? 0;
    return { ...condition, ...observed, lastTransitionTime: `${new Date(since).toISOString().slice(0, 19)}Z` };
  });
  // Fields that are not in a list by type belong to one controller alone.
  const rest = whole ? { ...observed, validationMessages: messages } : {};
  return { metadata: uid === '' ? {} : { uid }, status: { conditions: timed, ...rest } };
}

/** What there is of ours in an object that somebody, perhaps the leader before, has written. */
export function readStatus({ body }: KubernetesObject, types: readonly string[]): WrittenStatus {
  const status = isRecord(body['status']) ? body['status'] : {};
  const listed: readonly unknown[] = Array.isArray(status['conditions']) ? status['conditions'] : [];
  const conditions = listed.filter(isRecord).filter(({ type }) => types.includes(String(type)));
  const validations: readonly unknown[] = Array.isArray(status['validationMessages'])
    ? status['validationMessages']
    : [];
  const messages = validations.filter(isRecord).map(({ type, level }) => {
    const { name, code } = isRecord(type) ? type : {};
    return [name, code, level];
  });
  // In our order, whichever the list has.
  const ordered = types.flatMap((type) => conditions.filter((condition) => condition['type'] === type).slice(0, 1));
  const generation = ordered[0]?.['observedGeneration'] ?? null;
  return {
    text: JSON.stringify([
      generation,
      ordered.map(({ type, status: value, reason, message }) => [type, value, reason, message]),
      messages,
    ]),
    transitions: new Map(
      ordered.map(({ type, status: value, lastTransitionTime }) => {
        const since = Date.parse(String(lastTransitionTime));
        return [String(type), { status: String(value), since: Number.isNaN(since) ? 0 : since }];
      }),
    ),
  };
}
