import type { Issue } from '../core/issue.ts';
import { suggestWord } from '../core/nearest-word.ts';
import { fieldPath, isGiven, readMapping, readObject, readText, type FieldObject } from './field-reader.ts';
import { Findings } from './findings.ts';
import { parsePort } from './port.ts';
import type { ResourceDocument, ResourceName } from './resource-document.ts';
import { DRY_RUN, readResource, type ResourceMetadata } from './resource-metadata.ts';
import { readSelector, type WorkloadSelector } from './workload-selector.ts';

const MODES = ['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'] as const;

/** What a listener demands of its peers. UNSET asks the level above. */
export type MtlsMode = (typeof MODES)[number];

/** A PeerAuthentication that passed validation. */
export interface PeerAuthentication extends ResourceName {
  readonly file: string | undefined;
  /** Wall time in ms. */
  readonly createdAt: number | undefined;
  readonly selector: WorkloadSelector;
  readonly mode: MtlsMode;
  /** By the port that the workload listens on. Empty without a selector. */
  readonly ports: ReadonlyMap<number, MtlsMode>;
}

export interface ParsedPeerAuthentication {
  /** Nothing if any issue is an error. */
  readonly policy: PeerAuthentication | undefined;
  readonly issues: readonly Issue[];
}

/** Reads and validates one PeerAuthentication. */
export function parsePeerAuthentication(document: ResourceDocument): ParsedPeerAuthentication {
  const findings = new Findings(document);
  const resource = readResource(findings, document, 'PeerAuthentication');
  const policy = resource === undefined ? undefined : readPolicy(findings, document, resource);
  return Object.freeze({ policy: findings.failed ? undefined : policy, issues: findings.issues });
}

function readPolicy(
  findings: Findings,
  document: ResourceDocument,
  { metadata, spec: value }: { metadata: ResourceMetadata; spec: unknown },
): PeerAuthentication {
  const known = ['selector', 'mtls', 'portLevelMtls'];
  const spec = readObject(findings, { path: 'spec', value, known }) ?? { path: 'spec', fields: {} };
  if (metadata.annotations.has(DRY_RUN)) {
    findings.error({
      code: 'policy_dry_run_kind',
      path: `metadata.annotations[${DRY_RUN}]`,
      message: 'a PeerAuthentication has no dry run',
      remedy: 'remove the annotation',
    });
  }
  const selector = readSelector(findings, spec);
  return Object.freeze({
    name: metadata.name,
    namespace: metadata.namespace,
    file: document.file,
    createdAt: metadata.createdAt,
    selector,
    mode: readMode(findings, 'spec.mtls', spec.fields['mtls']),
    ports: readPorts(findings, spec, selector),
  });
}

function readMode(findings: Findings, path: string, value: unknown): MtlsMode {
  const object = readObject(findings, { path, value, known: ['mode'] });
  const at = fieldPath(path, 'mode');
  const text = readText(findings, at, object?.fields['mode']) ?? 'UNSET';
  const mode = MODES.find((known) => known === text);
  if (mode !== undefined) return mode;
  findings.error({
    code: 'policy_mtls_mode_unknown',
    path: at,
    message: `there is no mode ${JSON.stringify(text.slice(0, 100))}`,
    remedy: suggestWord(text, MODES, `write one of ${MODES.join(', ')}`),
  });
  return 'STRICT';
}

function readPorts(findings: Findings, spec: FieldObject, selector: WorkloadSelector): ReadonlyMap<number, MtlsMode> {
  const path = fieldPath(spec.path, 'portLevelMtls');
  const ports = new Map<number, MtlsMode>();
  const object = readMapping(findings, path, spec.fields['portLevelMtls']);
  if (object === undefined) return ports;
  const entries = Object.entries(object.fields);
  if (selector.size === 0) {
    findings.error({
      code: 'policy_port_mtls_without_selector',
      path,
      message: 'ports can be told apart only for selected workloads',
      remedy: 'add selector.matchLabels, or remove portLevelMtls',
    });
  }
  if (entries.length === 0) {
    findings.error({
      code: 'policy_port_mtls_empty',
      path,
      message: 'names no port',
      remedy: 'name a port, or remove portLevelMtls',
    });
  }
  for (const [key, value] of entries) {
    const at = fieldPath(path, key);
    const port = parsePort(key);
    if (port === undefined || port === 0) {
      findings.error({
        code: 'policy_port_invalid',
        path: at,
        message: `${JSON.stringify(key.slice(0, 100))}: not a port`,
        remedy: 'write a number from 1 to 65535',
      });
    } else {
      ports.set(port, isGiven(value) ? readMode(findings, at, value) : 'UNSET');
    }
  }
  return ports;
}
