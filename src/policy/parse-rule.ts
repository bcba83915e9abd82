import {
  OPERATION_FIELDS,
  SOURCE_FIELDS,
  type Action,
  type Condition,
  type ConditionAttribute,
  type OperationField,
  type Rule,
  type SourceField,
} from './authorization-policy.ts';
import { checkValues } from './check-values.ts';
import { readWhen } from './parse-when.ts';
import { fieldPath, isGiven, readList, readObject, readTexts, type FieldObject } from './field-reader.ts';
import type { Findings } from './findings.ts';
import type { Position } from './resource-document.ts';

/** Istio's CRD. */
export const MOST_ENTRIES = 512;

const SOURCE: Readonly<Record<SourceField, ConditionAttribute>> = {
  principals: { name: 'source.principal' },
  requestPrincipals: { name: 'request.auth.principal' },
  namespaces: { name: 'source.namespace' },
  ipBlocks: { name: 'source.ip' },
  remoteIpBlocks: { name: 'remote.ip' },
  serviceAccounts: { name: 'source.serviceAccount' },
  trustDomains: { name: 'source.trustDomain' },
};

const OPERATION: Readonly<Record<OperationField, ConditionAttribute>> = {
  hosts: { name: 'request.host' },
  ports: { name: 'destination.port' },
  methods: { name: 'request.method' },
  paths: { name: 'request.path' },
};

/** A provider is asked before tokens are read and, in Istio, without the peer's identity: these cannot be used. */
const NOT_WITH_CUSTOM: readonly SourceField[] = [
  'namespaces',
  'serviceAccounts',
  'trustDomains',
  'principals',
  'requestPrincipals',
];

interface RuleText {
  readonly value: unknown;
  readonly path: string;
  readonly index: number;
  readonly action: Action;
  /** Of the policy. */
  readonly namespace: string;
  readonly position: Position | undefined;
}

/** Reads one rule. Nothing if it is no mapping, which is reported. */
export function readRule(findings: Findings, { value, path, index, action, position }: RuleText): Rule | undefined {
  const rule = readObject(findings, { path, value, known: ['from', 'to', 'when'] });
  if (rule === undefined) return undefined;
  const from = readEntries(findings, rule, { list: 'from', entry: 'source' });
  const to = readEntries(findings, rule, { list: 'to', entry: 'operation' });
  return Object.freeze({
    index,
    from: from.map((source) => {
      if (action === 'CUSTOM') refuseWithCustom(findings, source);
      refuseMixedAccounts(findings, source);
      return readConditions(findings, source, { rule: path, attributes: SOURCE, fields: SOURCE_FIELDS });
    }),
    to: to.map((operation) =>
      readConditions(findings, operation, { rule: path, attributes: OPERATION, fields: OPERATION_FIELDS }),
    ),
    when: readWhen(findings, rule, action),
    position,
  });
}

/** The sources of `from`, or the operations of `to`. A list or an entry of nothing would match everything: refused. */
function readEntries(
  findings: Findings,
  rule: FieldObject,
  { list: name, entry }: { list: 'from' | 'to'; entry: 'source' | 'operation' },
): readonly FieldObject[] {
  const path = fieldPath(rule.path, name);
  const empty = (at: string, what: string): void =>
    findings.error({
      code: `policy_${name}_empty`,
      path: at,
      message: `${what} is empty`,
      remedy: `say which ${entry}, or leave ${name} out to match every ${entry}`,
    });
  const list = readList(findings, path, rule.fields[name]);
  if (list === undefined) return [];
  if (list.length === 0) empty(path, name);
  if (list.length > MOST_ENTRIES) {
    const message = `has ${list.length} entries`;
    findings.error({ code: 'policy_too_many', path, message, remedy: `write at most ${MOST_ENTRIES}` });
    return [];
  }
  const lists: readonly string[] = entry === 'source' ? SOURCE_FIELDS : OPERATION_FIELDS;
  const known = lists.flatMap((field) => [field, notForm(field)]);
  return list.flatMap((value, index) => {
    const at = fieldPath(path, index);
    const item = readObject(findings, { path: at, value, known: [entry] });
    const inside = fieldPath(at, entry);
    if (!isGiven(value)) empty(at, 'the entry');
    if (item === undefined) return [];
    const object = readObject(findings, { path: inside, value: item.fields[entry], known });
    if (!isGiven(item.fields[entry])) empty(inside, entry);
    if (object === undefined) return [];
    const said = Object.values(object.fields).some(
      (field) => isGiven(field) && !(Array.isArray(field) && field.length === 0),
    );
    if (!said) empty(inside, entry);
    return [object];
  });
}

function notForm(field: string): string {
  return `not${field.charAt(0).toUpperCase()}${field.slice(1)}`;
}

function readConditions<Field extends string>(
  findings: Findings,
  object: FieldObject,
  given: { rule: string; attributes: Readonly<Record<Field, ConditionAttribute>>; fields: readonly Field[] },
): readonly Condition[] {
  return given.fields.flatMap((field) =>
    [false, true].flatMap((negated) => {
      const name = negated ? notForm(field) : field;
      const values = readTexts(findings, object, name);
      if (values.length === 0) return [];
      const path = fieldPath(object.path, name);
      const attribute = given.attributes[field];
      checkValues(findings, { path, values, attribute });
      return [Object.freeze({ field: path.slice(given.rule.length + 1), attribute, values, negated })];
    }),
  );
}

function refuseWithCustom(findings: Findings, source: FieldObject): void {
  for (const field of NOT_WITH_CUSTOM.flatMap((name) => [name, notForm(name)])) {
    if (!isGiven(source.fields[field])) continue;
    findings.error({
      code: 'policy_custom_field',
      path: fieldPath(source.path, field),
      message: `${field} is not supported with action CUSTOM`,
      remedy: 'use ipBlocks or an operation, or ask for the identity in a separate DENY policy',
    });
  }
}

/** A service account names its namespace already; Istio's CRD refuses both (CEL rule on Source). */
function refuseMixedAccounts(findings: Findings, source: FieldObject): void {
  const isSet = (name: string): boolean => isGiven(source.fields[name]) || isGiven(source.fields[notForm(name)]);
  const other = ['principals', 'namespaces'].find(isSet);
  if (!isSet('serviceAccounts') || other === undefined) return;
  findings.error({
    code: 'policy_service_accounts_mixed',
    path: source.path,
    message: `serviceAccounts cannot stand beside ${other}`,
    remedy: 'write two sources',
  });
}
