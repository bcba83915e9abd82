import { operation, OPERATION, labels, many, type Row } from './rule-row.ts';

/** What the CRDs refuse before the webhook is asked (istio/api). */
export const CRDS: readonly Row[] = [
  {
    rule: 'targetRefs',
    what: '17 targets',
    spec: { targetRefs: many(17, () => ({ kind: 'Service', name: 'a' })) },
    code: 'policy_too_many',
    path: 'spec.targetRefs',
  },
  {
    rule: 'targetRefs',
    what: 'a name of 254 characters',
    spec: { targetRefs: [{ kind: 'Service', name: 'a'.repeat(254) }] },
    code: 'policy_target_reference',
    path: 'spec.targetRefs[0].name',
  },
  {
    rule: 'oneof',
    what: 'targetRef beside targetRefs',
    spec: { targetRef: { kind: 'Service', name: 'a' }, targetRefs: [] },
    code: 'policy_selector_and_target',
    path: 'spec.targetRefs',
  },
  {
    rule: 'matchLabels',
    what: '4097 labels',
    spec: labels(Object.fromEntries(many(4097, (i) => [`a${i}`, 'b']))),
    code: 'policy_too_many',
    path: 'spec.selector.matchLabels',
  },
  {
    rule: 'matchLabels',
    what: 'a value of 64 characters',
    spec: labels({ a: 'b'.repeat(64) }),
    code: 'policy_selector_value',
    path: 'spec.selector.matchLabels.a',
  },
  {
    rule: 'rules',
    what: '513 rules',
    spec: { rules: many(513, () => ({})) },
    code: 'policy_too_many',
    path: 'spec.rules',
  },
  {
    rule: 'from',
    what: '513 sources',
    spec: { rules: [{ from: many(513, () => ({ source: { namespaces: ['a'] } })) }] },
    code: 'policy_too_many',
    path: 'spec.rules[0].from',
  },
  {
    rule: 'action',
    what: 'an action that there is not',
    spec: { action: 'allow', rules: [{}] },
    code: 'policy_action_unknown',
    path: 'spec.action',
  },
  {
    rule: 'schema',
    what: 'a number where text belongs',
    spec: operation({ ports: [80] }),
    code: 'policy_wrong_type',
    path: `${OPERATION}.ports[0]`,
  },
  {
    rule: 'schema',
    what: 'a field that there is not',
    spec: operation({ port: ['80'] }),
    code: 'policy_unknown_field',
    path: `${OPERATION}.port`,
  },
];
