import { fieldPath, isGiven, readMapping, readObject, readWord, type FieldObject } from './field-reader.ts';
import type { Findings } from './findings.ts';
import { parsePolicy, type OpenedPolicy, type ParsedPolicy } from './parse-policy.ts';
import { parsePort } from './port.ts';
import type { ResourceDocument, ResourceName } from './resource-document.ts';
import { readSelector, type WorkloadSelector } from './workload-selector.ts';

export const MODES = ['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'] as const;

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

export type ParsedPeerAuthentication = ParsedPolicy<PeerAuthentication>;

/** Reads and validates one PeerAuthentication. */
export function parsePeerAuthentication(document: ResourceDocument): ParsedPeerAuthentication {
  const fields = ['selector', 'mtls', 'portLevelMtls'];
  return parsePolicy(document, { kind: 'PeerAuthentication', fields, dryRun: 'refused' }, (opened) =>
    readPolicy(opened, document),
  );
}

function readPolicy({ findings, metadata, spec }: OpenedPolicy, document: ResourceDocument): PeerAuthentication {
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
  return readWord(findings, fieldPath(path, 'mode'), object?.fields['mode'], {
    what: 'mode',
    code: 'policy_mtls_mode_unknown',
    words: MODES,
    absent: 'UNSET',
    instead: 'STRICT',
  });
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
