import type { Action, Condition } from './authorization-policy.ts';
import { checkValues } from './check-values.ts';
import { parseConditionKey, type ConditionKey } from './condition-key.ts';
import { fieldPath, isGiven, readList, readObject, readText, readTexts, type FieldObject } from './field-reader.ts';
import type { Findings } from './findings.ts';

/** Reads the `when` of a rule. An entry with both lists makes two conditions, both of which must hold. */
export function readWhen(findings: Findings, rule: FieldObject, action: Action): readonly Condition[] {
  const path = fieldPath(rule.path, 'when');
  const list = readList(findings, path, rule.fields['when']) ?? [];
  return list.flatMap((value, index) =>
    readEntry(findings, { value, path: fieldPath(path, index), rule: rule.path, action }),
  );
}

function readEntry(
  findings: Findings,
  { value, path, rule, action }: { value: unknown; path: string; rule: string; action: Action },
): readonly Condition[] {
  const entry = readObject(findings, { path, value, known: ['key', 'values', 'notValues'] });
  if (entry === undefined) {
    if (!isGiven(value)) missing(findings, { path, message: 'the condition is empty' });
    return [];
  }
  const attribute = readKey(findings, entry, action);
  const lists = (['values', 'notValues'] as const).map((name) => ({ name, values: readTexts(findings, entry, name) }));
  if (!isGiven(entry.fields['values']) && !isGiven(entry.fields['notValues'])) {
    missing(findings, { path, message: 'the condition has neither values nor notValues' });
  } else if (['values', 'notValues'].every((name) => isNothing(entry.fields[name]))) {
    missing(findings, { path, message: 'both lists of the condition are empty' });
  }
  if (attribute === undefined) return [];
  return lists.flatMap(({ name, values }) => {
    if (values.length === 0) return [];
    const at = fieldPath(path, name);
    checkValues(findings, { path: at, values, attribute });
    return [Object.freeze({ field: at.slice(rule.length + 1), attribute, values, negated: name === 'notValues' })];
  });
}

function isNothing(list: unknown): boolean {
  return !isGiven(list) || (Array.isArray(list) && list.length === 0);
}

function missing(findings: Findings, { path, message }: { path: string; message: string }): void {
  findings.error({ code: 'policy_when_empty', path, message, remedy: 'write a key, and values or notValues' });
}

function readKey(findings: Findings, entry: FieldObject, action: Action): ConditionKey | undefined {
  const path = fieldPath(entry.path, 'key');
  const text = readText(findings, path, entry.fields['key']) ?? '';
  if (text === '') {
    missing(findings, { path, message: 'the condition has no key' });
    return undefined;
  }
  const key = parseConditionKey(text);
  if (!('name' in key)) {
    findings.error({ code: 'policy_when_key', path, ...key });
    return undefined;
  }
  if (action === 'CUSTOM' && !askedBeforeIdentity(key)) {
    findings.error({
      code: 'policy_custom_field',
      path,
      message: `${text} is not supported with action CUSTOM`,
      remedy: 'use source.ip, request.headers[name] or a destination key',
    });
  }
  if (key.name === 'experimental.envoy.filters') {
    findings.warning({
      code: 'policy_when_unknowable',
      path,
      message: 'there is no Envoy filter here that could set this',
      remedy: 'remove it: an ALLOW rule with it never matches, any other rule is judged without it',
    });
  }
  return key;
}

function askedBeforeIdentity({ name }: ConditionKey): boolean {
  return !(name.startsWith('request.auth.') || (name.startsWith('source.') && name !== 'source.ip'));
}
