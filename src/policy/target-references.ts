import { fieldPath, isGiven, readList, readObject, readText, type FieldObject } from './field-reader.ts';
import type { Findings } from './findings.ts';

/** Waypoints and gateways enforce these (pilot/pkg/model/policyattachment.go), and there is none here. */
export function warnOfTargets(findings: Findings, targets: readonly TargetReference[]): void {
  const [first] = targets;
  if (first === undefined) return;
  findings.warning({
    code: 'policy_target_not_enforced',
    path: 'spec.targetRefs',
    message: `no sidecar enforces a policy that is attached to a ${first.kind}`,
    remedy: 'select the workloads with selector.matchLabels',
  });
}

/** A Kubernetes object that a policy is attached to. A sidecar enforces no such policy: a waypoint or gateway does. */
export interface TargetReference {
  readonly kind: string;
  readonly name: string;
}

/** Istio's CRD. */
export const MOST_TARGETS = 16;
export const LONGEST_NAME = 253;

const KINDS: Readonly<Record<string, string>> = {
  Gateway: 'gateway.networking.k8s.io',
  GatewayClass: 'gateway.networking.k8s.io',
  Service: '',
  ServiceEntry: 'networking.istio.io',
};

/** Reads `spec.targetRefs`, or the older single `spec.targetRef`. */
export function readTargetReferences(
  findings: Findings,
  spec: FieldObject,
  namespace: string,
): readonly TargetReference[] {
  const given = ['selector', 'targetRef', 'targetRefs'].filter((name) => isGiven(spec.fields[name]));
  if (given.length > 1) {
    findings.error({
      code: 'policy_selector_and_target',
      path: fieldPath(spec.path, given[1] ?? ''),
      message: `stands beside ${given[0]}`,
      remedy: 'use only one of selector and targetRefs',
    });
  }
  const single = spec.fields['targetRef'];
  const path = fieldPath(spec.path, 'targetRefs');
  const list = readList(findings, path, spec.fields['targetRefs']) ?? [];
  if (list.length > MOST_TARGETS) {
    findings.error({
      code: 'policy_too_many',
      path,
      message: `has ${list.length} entries`,
      remedy: `write at most ${MOST_TARGETS}`,
    });
  }
  const references = list.map((value, index) => ({ value, at: fieldPath(path, index) }));
  if (isGiven(single)) references.push({ value: single, at: fieldPath(spec.path, 'targetRef') });
  return references.map(({ value, at }) => readReference(findings, { value, at, namespace }));
}

function readReference(
  findings: Findings,
  { value, at, namespace }: { value: unknown; at: string; namespace: string },
): TargetReference {
  const object = readObject(findings, { path: at, value, known: ['group', 'kind', 'name', 'namespace'] });
  const text = (name: string): string => readText(findings, fieldPath(at, name), object?.fields[name]) ?? '';
  const reference = { group: text('group'), kind: text('kind'), name: text('name'), namespace: text('namespace') };
  const refuse = (field: string, message: string, remedy: string): void =>
    findings.error({ code: 'policy_target_reference', path: fieldPath(at, field), message, remedy });
  if (reference.name.length > LONGEST_NAME) {
    refuse('name', `has ${reference.name.length} characters`, `write at most ${LONGEST_NAME}`);
  }
  if (reference.name === '') refuse('name', 'the target has no name', 'name the object');
  if (reference.namespace !== '' && reference.namespace !== namespace) {
    refuse('namespace', 'the target is in another namespace', `leave it out: the target is in ${namespace}`);
  }
  if (!Object.hasOwn(KINDS, reference.kind) || KINDS[reference.kind] !== reference.group) {
    const kinds = Object.entries(KINDS).map(([kind, group]) => (group === '' ? kind : `${group}/${kind}`));
    refuse('kind', 'a policy cannot be attached to this kind', `it must be one of ${kinds.join(', ')}`);
  }
  return Object.freeze({ kind: reference.kind, name: reference.name });
}
