import type { Issue } from '../core/issue.ts';
import { readObject, type FieldObject } from './field-reader.ts';
import { Findings } from './findings.ts';
import type { ResourceDocument } from './resource-document.ts';
import { DRY_RUN, readResource, type ResourceMetadata } from './resource-metadata.ts';

export interface ParsedPolicy<Policy> {
  /** Nothing if any issue is an error: what is not understood in full is not enforced in part. */
  readonly policy: Policy | undefined;
  readonly issues: readonly Issue[];
}

/** A policy of which everything but the spec was read. */
export interface OpenedPolicy {
  readonly findings: Findings;
  readonly metadata: ResourceMetadata;
  /** Its unknown fields are reported already; without fields where there is no spec. */
  readonly spec: FieldObject;
}

interface PolicyKind {
  readonly kind: string;
  /** Those of the spec. */
  readonly fields: readonly string[];
  readonly dryRun: 'known' | 'refused';
}

/** Reads and validates one policy, and says everything that is wrong with it at once. `read` makes what its kind is of it. */
export function parsePolicy<Policy>(
  document: ResourceDocument,
  { kind, fields, dryRun }: PolicyKind,
  read: (opened: OpenedPolicy) => Policy,
): ParsedPolicy<Policy> {
  const findings = new Findings(document);
  const resource = readResource(findings, document, kind);
  if (resource === undefined) return Object.freeze({ policy: undefined, issues: findings.issues });
  const { metadata, spec: value } = resource;
  const spec = readObject(findings, { path: 'spec', value, known: fields }) ?? { path: 'spec', fields: {} };
  if (dryRun === 'refused' && metadata.annotations.has(DRY_RUN)) {
    findings.error({
      code: 'policy_dry_run_kind',
      path: `metadata.annotations[${DRY_RUN}]`,
      message: `a ${kind} has no dry run`,
      remedy: 'remove the annotation',
    });
  }
  const policy = read({ findings, metadata, spec });
  return Object.freeze({ policy: findings.failed ? undefined : policy, issues: findings.issues });
}
