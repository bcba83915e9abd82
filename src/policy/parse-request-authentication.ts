import { fieldPath, isGiven, readList } from './field-reader.ts';
import type { Findings } from './findings.ts';
import { parsePolicy, type OpenedPolicy, type ParsedPolicy } from './parse-policy.ts';
import { readTokenRule } from './parse-token-rule.ts';
import type { RequestAuthentication, TokenRule } from './request-authentication.ts';
import type { ResourceDocument } from './resource-document.ts';
import { readTargetReferences, warnOfTargets } from './target-references.ts';
import { readSelector } from './workload-selector.ts';

/** Istio's CRD. */
export const MOST_TOKEN_RULES = 4096;

export type ParsedRequestAuthentication = ParsedPolicy<RequestAuthentication>;

/** Reads and validates one RequestAuthentication. */
export function parseRequestAuthentication(document: ResourceDocument): ParsedRequestAuthentication {
  const fields = ['selector', 'targetRef', 'targetRefs', 'jwtRules'];
  return parsePolicy(document, { kind: 'RequestAuthentication', fields, dryRun: 'refused' }, (opened) =>
    readPolicy(opened, document),
  );
}

function readPolicy({ findings, metadata, spec }: OpenedPolicy, document: ResourceDocument): RequestAuthentication {
  const targets = readTargetReferences(findings, spec, metadata.namespace);
  warnOfTargets(findings, targets);
  return Object.freeze({
    name: metadata.name,
    namespace: metadata.namespace,
    file: document.file,
    selector: readSelector(findings, spec),
    targets: Object.freeze(targets),
    rules: Object.freeze(readRules(findings, spec.fields['jwtRules'])),
  });
}

function readRules(findings: Findings, value: unknown): readonly TokenRule[] {
  const path = 'spec.jwtRules';
  const list = readList(findings, path, value) ?? [];
  if (list.length > MOST_TOKEN_RULES) {
    findings.error({
      code: 'policy_too_many',
      path,
      message: `has ${list.length} rules`,
      remedy: `write at most ${MOST_TOKEN_RULES}`,
    });
    return [];
  }
  return list.flatMap((item, index) => {
    const at = fieldPath(path, index);
    if (isGiven(item)) return readTokenRule(findings, at, item) ?? [];
    findings.error({ code: 'policy_rule_empty', path: at, message: 'the rule is empty', remedy: 'name an issuer' });
    return [];
  });
}
