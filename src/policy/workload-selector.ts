import { fieldPath, readObject, readTextMap, type FieldObject } from './field-reader.ts';
import type { Findings } from './findings.ts';

/** The labels that a workload must have, all of them. Empty selects every workload. */
export type WorkloadSelector = ReadonlyMap<string, string>;

const EVERY: WorkloadSelector = new Map();

/** Istio's CRD. */
export const MOST_LABELS = 4096;
/** Kubernetes has no longer ones. */
export const LONGEST_VALUE = 63;

/** Reads `spec.selector`. */
export function readSelector(findings: Findings, spec: FieldObject): WorkloadSelector {
  const path = fieldPath(spec.path, 'selector');
  const selector = readObject(findings, { path, value: spec.fields['selector'], known: ['matchLabels'] });
  if (selector === undefined) return EVERY;
  const labelsPath = fieldPath(path, 'matchLabels');
  const labels = readTextMap(findings, labelsPath, selector.fields['matchLabels']);
  if (labels.size === 0) {
    findings.warning({
      code: 'policy_selector_empty',
      path,
      message: 'the selector has no labels and selects every workload',
      remedy: 'leave the selector out, or give it matchLabels',
    });
  }
  if (labels.size > MOST_LABELS) {
    const message = `has ${labels.size} labels`;
    findings.error({ code: 'policy_too_many', path: labelsPath, message, remedy: `write at most ${MOST_LABELS}` });
    return labels;
  }
  for (const [key, value] of labels) {
    const at = fieldPath(labelsPath, key);
    if (value.length > LONGEST_VALUE) {
      const message = `no label has a value of ${value.length} characters`;
      const remedy = `write at most ${LONGEST_VALUE}`;
      findings.error({ code: 'policy_selector_value', path: at, message, remedy });
    }
    if (key === '') {
      findings.error({ code: 'policy_selector_key', path: at, message: 'the key is empty', remedy: 'name a label' });
    }
    if (key.includes('*') || value.includes('*')) {
      findings.error({
        code: 'policy_selector_wildcard',
        path: at,
        message: 'labels are compared exactly and know no wildcard',
        remedy: 'write the label in full',
      });
    }
  }
  return labels;
}

export function selects(selector: WorkloadSelector, labels: Readonly<Record<string, string>>): boolean {
  for (const [key, value] of selector) {
    if (!Object.hasOwn(labels, key) || labels[key] !== value) return false;
  }
  return true;
}
