import { ACTIONS, type Action, type AuthorizationPolicy, type Rule } from './authorization-policy.ts';
import { isHttpOnly } from './attribute-traits.ts';
import { contradictionOf } from './contradiction.ts';
import { fieldPath, isGiven, readList, readObject, readText, readWord, type FieldObject } from './field-reader.ts';
import type { Findings } from './findings.ts';
import { parsePolicy, type OpenedPolicy, type ParsedPolicy } from './parse-policy.ts';
import { readRule } from './parse-rule.ts';
import type { ResourceDocument } from './resource-document.ts';
import { DRY_RUN, type ResourceMetadata } from './resource-metadata.ts';
import { readTargetReferences, warnOfTargets } from './target-references.ts';
import { warnOfValues } from './value-doubts.ts';
import { readSelector } from './workload-selector.ts';

/** Istio's CRD. */
export const MOST_RULES = 512;

export type ParsedAuthorizationPolicy = ParsedPolicy<AuthorizationPolicy>;

/** Reads and validates one AuthorizationPolicy. */
export function parseAuthorizationPolicy(document: ResourceDocument): ParsedAuthorizationPolicy {
  const fields = ['selector', 'targetRef', 'targetRefs', 'action', 'provider', 'rules'];
  return parsePolicy(document, { kind: 'AuthorizationPolicy', fields, dryRun: 'known' }, (opened) =>
    readPolicy(opened, document),
  );
}

function readPolicy({ findings, metadata, spec }: OpenedPolicy, document: ResourceDocument): AuthorizationPolicy {
  const action = readAction(findings, spec);
  const provider = readProvider(findings, spec, action);
  const rules = readRules(findings, document, { spec, action, namespace: metadata.namespace });
  if (rules.length === 0 && (action === 'DENY' || action === 'CUSTOM')) {
    findings.error({
      code: action === 'DENY' ? 'policy_deny_without_rules' : 'policy_custom_without_rules',
      path: 'spec.rules',
      message: `a ${action} policy without rules does nothing`,
      remedy: 'write rules; `rules: [{}]` matches everything',
    });
  }
  if (action === 'DENY') rules.forEach((rule) => warnOfTcp(findings, rule));
  for (const rule of rules) {
    warnOfContradiction(findings, rule);
    warnOfValues(findings, action, rule);
  }
  const targets = readTargetReferences(findings, spec, metadata.namespace);
  warnOfTargets(findings, targets);
  return Object.freeze({
    name: metadata.name,
    namespace: metadata.namespace,
    file: document.file,
    action,
    provider,
    selector: readSelector(findings, spec),
    targets: Object.freeze(targets),
    rules: Object.freeze(rules),
    dryRun: readDryRun(findings, metadata, action),
  });
}

function readAction(findings: Findings, spec: FieldObject): Action {
  return readWord(findings, fieldPath(spec.path, 'action'), spec.fields['action'], {
    what: 'action',
    code: 'policy_action_unknown',
    words: ACTIONS,
    absent: 'ALLOW',
    instead: 'DENY',
  });
}

function readProvider(findings: Findings, spec: FieldObject, action: Action): string | undefined {
  const path = fieldPath(spec.path, 'provider');
  const object = readObject(findings, { path, value: spec.fields['provider'], known: ['name'] });
  const name = readText(findings, fieldPath(path, 'name'), object?.fields['name']) ?? '';
  if (action === 'CUSTOM') {
    if (name !== '') return name;
    const at = object === undefined ? path : fieldPath(path, 'name');
    findings.error({
      code: 'policy_provider_missing',
      path: at,
      message: 'a CUSTOM policy names its provider',
      remedy: 'write the name of an extension provider of the mesh settings',
    });
  } else if (object !== undefined) {
    findings.error({
      code: 'policy_provider_unexpected',
      path,
      message: `a policy with action ${action} has no provider`,
      remedy: 'remove it, or write action: CUSTOM',
    });
  }
  return undefined;
}

function readRules(
  findings: Findings,
  { locate }: ResourceDocument,
  { spec, action, namespace }: { spec: FieldObject; action: Action; namespace: string },
): readonly Rule[] {
  const path = fieldPath(spec.path, 'rules');
  const list = readList(findings, path, spec.fields['rules']) ?? [];
  if (list.length > MOST_RULES) {
    findings.error({
      code: 'policy_too_many',
      path,
      message: `has ${list.length} rules`,
      remedy: `write at most ${MOST_RULES} and split the policy`,
    });
    return [];
  }
  return list.flatMap((value, index) => {
    const at = fieldPath(path, index);
    if (isGiven(value)) {
      const position = locate?.(at);
      return readRule(findings, { value, path: at, index, action, namespace, position }) ?? [];
    }
    findings.error({
      code: 'policy_rule_empty',
      path: at,
      message: 'the rule is empty',
      remedy: 'write {} for a rule that matches everything',
    });
    return [];
  });
}

/** A rule that looks like protection, or like access, and is neither. */
function warnOfContradiction(findings: Findings, rule: Rule): void {
  const found = contradictionOf(rule);
  if (found === undefined) return;
  findings.warning({
    code: 'policy_rule_never_matches',
    path: `spec.rules[${rule.index}].${found.condition.field}`,
    message: `the rule never matches: ${found.other.field} excludes all of this`,
    remedy: 'remove one of the two, or write two rules',
  });
}

/** An HTTP rule that was meant for one port cuts the TCP ports off. */
function warnOfTcp(findings: Findings, { index, from, to, when }: Rule): void {
  const everything = [...from.flat(), ...to.flat(), ...when];
  const http = everything.filter(({ attribute }) => isHttpOnly(attribute));
  const named = (conditions: Rule['when']): boolean =>
    conditions.some(({ attribute, negated }) => attribute.name === 'destination.port' && !negated);
  const [first] = http;
  if (first === undefined || named(when) || (to.length > 0 && to.every(named))) return;
  findings.warning({
    code: 'policy_deny_widened_on_tcp',
    path: `spec.rules[${index}]`,
    message: `${first.field} cannot be told on a TCP port, where the rule denies without it`,
    remedy: 'name the HTTP ports in to.operation.ports',
  });
}

function readDryRun(findings: Findings, { annotations }: ResourceMetadata, action: Action): boolean {
  const text = annotations.get(DRY_RUN);
  if (text === undefined) return false;
  const path = `metadata.annotations[${DRY_RUN}]`;
  // Go's strconv.ParseBool, which Istio asks.
  const yes = ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text);
  if (!yes && !['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) {
    findings.error({
      code: 'policy_dry_run_value',
      path,
      message: `${JSON.stringify(text.slice(0, 100))} is neither true nor false`,
      remedy: 'write "true" or "false"',
    });
  }
  if (action === 'AUDIT' || action === 'CUSTOM') {
    findings.error({
      code: 'policy_dry_run_action',
      path,
      message: `a policy with action ${action} has no dry run`,
      remedy: 'remove the annotation',
    });
  }
  return yes;
}
