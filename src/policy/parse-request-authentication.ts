import type { Issue } from '../core/issue.ts';
import { fieldPath, isGiven, readList, readObject } from './field-reader.ts';
import { Findings } from './findings.ts';
import { readTokenRule } from './parse-token-rule.ts';
import type { RequestAuthentication, TokenRule } from './request-authentication.ts';
import type { ResourceDocument } from './resource-document.ts';
import { DRY_RUN, readResource, type ResourceMetadata } from './resource-metadata.ts';
import { readTargetReferences, warnOfTargets } from './target-references.ts';
import { readSelector } from './workload-selector.ts';

/** Istio's CRD. */
const MOST_RULES = 4096;

export interface ParsedRequestAuthentication {
  /** Nothing if any issue is an error: what is not understood in full is not enforced in part. */
  readonly policy: RequestAuthentication | undefined;
  readonly issues: readonly Issue[];
}

/** Reads and validates one RequestAuthentication, and says everything that is wrong with it at once. */
export function parseRequestAuthentication(document: ResourceDocument): ParsedRequestAuthentication {
  const findings = new Findings(document);
  const resource = readResource(findings, document, 'RequestAuthentication');
  const policy = resource === undefined ? undefined : readPolicy(findings, document, resource);
  return Object.freeze({ policy: findings.failed ? undefined : policy, issues: findings.issues });
}

function readPolicy(
  findings: Findings,
  document: ResourceDocument,
  { metadata, spec: value }: { metadata: ResourceMetadata; spec: unknown },
): RequestAuthentication {
  const known = ['selector', 'targetRef', 'targetRefs', 'jwtRules'];
  const spec = readObject(findings, { path: 'spec', value, known }) ?? { path: 'spec', fields: {} };
  if (metadata.annotations.has(DRY_RUN)) {
    findings.error({
      code: 'policy_dry_run_kind',
      path: `metadata.annotations[${DRY_RUN}]`,
      message: 'a RequestAuthentication has no dry run',
      remedy: 'remove the annotation',
    });
  }
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
  if (list.length > MOST_RULES) {
    findings.error({
      code: 'policy_too_many',
      path,
      message: `has ${list.length} rules`,
      remedy: `write at most ${MOST_RULES}`,
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
