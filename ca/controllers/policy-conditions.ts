import { cleanText } from '../../src/core/clean-text.ts';
import type { Issue } from '../../src/core/issue.ts';
import { DRY_RUN } from '../../src/policy/resource-metadata.ts';
import type { Resource } from '../../src/resources/resource.ts';
import type { JudgedObject } from '../../src/resources/judged-object.ts';
import type { Reach } from './policy-reach.ts';

/** One condition, without the times that say when it was written. */
export interface Condition {
  readonly type: 'Accepted' | 'Distributed';
  readonly status: 'True' | 'False';
  /** CamelCase. */
  readonly reason: string;
  readonly message: string;
}

/** Istio's `AnalysisMessageBase`, which has no place for a text: the name is an issue's code, the code its field. */
export interface ValidationMessage {
  readonly type: { readonly name: string; readonly code: string };
  readonly level: 'ERROR' | 'WARNING';
}

/** What is said of one generation of an object. */
export interface StatusContent {
  readonly generation: number | undefined;
  readonly conditions: readonly Condition[];
  readonly messages: readonly ValidationMessage[];
}

/** Of an object that has very many things wrong with it. */
const MOST_SAID = 5;
const MOST_MESSAGES = 16;
const LONGEST = 2_000;

/** What becomes of a status: whether the object was accepted and, where it is for workloads, how far it has come. */
export function statusOf(
  object: Pick<JudgedObject, 'kind' | 'generation' | 'issues' | 'source' | 'resource'>,
  reach: Reach | undefined,
): StatusContent {
  const { generation, issues } = object;
  const accepted = acceptedOf(object);
  const taken = accepted.status === 'True';
  return {
    generation,
    conditions: reach === undefined ? [accepted] : [accepted, taken ? distributedOf(reach) : NOT_TAKEN],
    messages: inOrder(issues)
      .slice(0, MOST_MESSAGES)
      .map(({ severity, code, path }) => {
        const level = severity === 'error' ? 'ERROR' : 'WARNING';
        return { type: { name: code, code: cleanText(path, 256) }, level };
      }),
  };
}

function acceptedOf({
  kind,
  issues,
  source,
  resource,
}: Omit<JudgedObject, 'namespace' | 'name' | 'uid' | 'generation'>): Condition {
  const type = 'Accepted';
  if (source !== 'object') {
    const errors = issues.filter(({ severity }) => severity === 'error');
    const instead = source === 'stand-in' ? standInOf(kind, resource) : INSTEAD[source];
    return { type, status: 'False', reason: 'Invalid', message: cleanText(`${listed(errors)}. ${instead}`, LONGEST) };
  }
  if (issues.length === 0) return { type, status: 'True', reason: 'Accepted', message: 'in force as it is written' };
  const message = cleanText(`in force; ${listed(issues)}`, LONGEST);
  return { type, status: 'True', reason: 'AcceptedWithWarnings', message };
}

const INSTEAD = {
  'last-good': 'What it said before stays in force.',
  nothing: 'Nothing of it is in force.',
} as const;

function standInOf(kind: string, resource: Resource | undefined): string {
  if (resource?.annotations[DRY_RUN] !== undefined) return 'Nothing is refused meanwhile, since it is only tried.';
  return kind === 'PeerAuthentication'
    ? 'Until it is mended, mutual TLS is demanded of whoever calls the workloads that it is for.'
    : 'Until it is mended, every call to the workloads that it is for is refused.';
}

function listed(issues: readonly Issue[]): string {
  const said = inOrder(issues)
    .slice(0, MOST_SAID)
    .map(({ path, message, remedy }) => `${path === '' ? '' : `${path}: `}${message}; ${remedy}`);
  const more = issues.length - said.length;
  return [...said, ...(more > 0 ? [`and ${more} more`] : [])].join('. ') || 'it cannot be read';
}

/** Errors first: what comes last may be cut off. */
function inOrder(issues: readonly Issue[]): readonly Issue[] {
  return issues.toSorted((a, b) => Number(b.severity === 'error') - Number(a.severity === 'error'));
}

const NOT_TAKEN: Condition = Object.freeze({
  type: 'Distributed',
  status: 'False',
  reason: 'NotAccepted',
  message: 'what is not accepted is not handed out',
});

function distributedOf({ selected, connected, acknowledged, attached }: Reach): Condition {
  const condition = (status: Condition['status'], reason: string, message: string): Condition => {
    return { type: 'Distributed', status, reason, message };
  };
  if (attached) return condition('False', 'NotEnforced', 'no sidecar enforces what is attached to an object');
  if (selected === 0) return condition('False', 'NoWorkload', 'no workload is selected');
  const workloads = `${roughly(selected)} ${selected === 1 ? 'workload' : 'workloads'} selected`;
  if (connected === 0) return condition('False', 'NoSidecar', `${workloads}; no sidecar of theirs is connected`);
  if (acknowledged < connected) {
    const message = `${workloads}; ${roughly(acknowledged)} of ${roughly(connected)} connected sidecars have it`;
    return condition('False', 'Pending', message);
  }
  const all =
    connected === 1 ? 'the one connected sidecar has it' : `all ${roughly(connected)} connected sidecars have it`;
  return condition('True', 'Acknowledged', `${workloads}; ${all}`);
}

/** A status that changed with each pod of a large mesh would be written all the time, for nobody. */
function roughly(count: number): string {
  if (count < 100) return String(count);
  const scale = 10 ** (Math.floor(Math.log10(count)) - 1);
  return `about ${Math.round(count / scale) * scale}`;
}
