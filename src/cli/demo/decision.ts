import { basename, dirname } from 'node:path';
import type { Settings } from '../../config/settings-table.ts';
import { SpiffeId } from '../../identity/spiffe-id.ts';
import { policyValidators } from '../../resources/policy-resource.ts';
import { readPaths } from '../../resources/read-folder.ts';
import type { ResourceSnapshot } from '../../resources/resource-store.ts';
import { explainCall, type ExplainedCall } from '../explain-call.ts';
import type { CallOutcome } from './call.ts';
import type { LogLine } from './child-process.ts';
import type { DemoService } from './topology.ts';

/** Who decided a call that was made, and how that is known. */
export interface Decision {
  /** Such as `DENY shop/deny-delete rule 0`. */
  readonly by: string;
  /** Where that is written, or what the sidecar said. */
  readonly detail: string;
}

export interface AskedCall {
  /** Undefined for somebody whom the mesh does not know. */
  readonly from: string | undefined;
  readonly to: DemoService;
  readonly method: string;
  readonly path: string;
}

export type MeshSettings = Pick<Settings, 'rootNamespace' | 'clusterId' | 'trustDomain'>;

/** What `sealwright policy explain` answers, of the very resources that are in force. */
export class Explainer {
  readonly #snapshot: ResourceSnapshot;
  readonly #settings: MeshSettings;

  private constructor(snapshot: ResourceSnapshot, settings: MeshSettings) {
    this.#snapshot = snapshot;
    this.#settings = settings;
  }

  static async open(resources: string, settings: MeshSettings): Promise<Explainer> {
    const validators = policyValidators({ rootNamespace: settings.rootNamespace, strayRoot: 'warning' });
    // Places are named as from the demo's folder, where a person finds them.
    const { snapshot } = await readPaths([basename(resources)], { validators, base: dirname(resources) });
    return new Explainer(snapshot, settings);
  }

  explain({ from, to, method, path }: AskedCall): ExplainedCall {
    const { namespace, name, port, protocol } = to;
    const http = protocol === 'http';
    return explainCall(
      {
        to: { namespace, name },
        from: from === undefined ? undefined : SpiffeId.parse(from),
        port,
        method: http ? method : undefined,
        path: http ? path : undefined,
        headers: new Map(http ? [['host', to.host]] : []),
        claims: undefined,
        sni: undefined,
        sourceIp: undefined,
        remoteIp: undefined,
      },
      { snapshot: this.#snapshot, settings: this.#settings },
    );
  }
}

const RBAC = /^rbac_access_denied_matched_policy\[(?:ns\[([^\]]*)\]-policy\[([^\]]*)\]-rule\[(\d+)\]|none)\]$/;

/**
 * What decided: for a call that was denied, what the sidecar that denied it wrote into its access log; for one that was
 * allowed, the rule that `policy explain` names. Where a policy was written is `policy explain`'s answer for both.
 */
export function decisionOf(outcome: CallOutcome, said: LogLine | undefined, explained: ExplainedCall): Decision {
  const { policies, verdict } = explained.explanation;
  const placeOf = (policy: string, rule: number): string => explained.places[policy]?.[rule] ?? '';
  if (outcome.status === 0 || outcome.status === 200) {
    const { matched } = verdict;
    if (matched === undefined) return { by: verdict.reason, detail: '' };
    const policy = `${matched.policy.namespace}/${matched.policy.name}`;
    return { by: `${matched.action} ${policy} rule ${matched.rule}`, detail: placeOf(policy, matched.rule) };
  }
  const reason = reasonIn(said);
  const match = RBAC.exec(reason);
  if (match === null) return { by: mtlsPolicy(explained), detail: reason };
  const [, namespace, name, rule] = match;
  if (name === undefined) {
    const allowing = policies.filter(({ action }) => action === 'ALLOW');
    const names = allowing.map(({ policy }) => policy.name).toSorted();
    return { by: 'no ALLOW rule matched', detail: `none of ${names.join(', ')}` };
  }
  const policy = `${namespace}/${name}`;
  const action = policies.find((each) => `${each.policy.namespace}/${each.policy.name}` === policy)?.action ?? '';
  return { by: `${action} ${policy} rule ${rule}`, detail: placeOf(policy, Number(rule)) };
}

function mtlsPolicy({ mtls }: ExplainedCall): string {
  const { mode, policy } = mtls;
  return policy === undefined ? `mTLS ${mode}` : `mTLS ${mode} by ${policy.namespace}/${policy.name}`;
}

/** Why a sidecar denied or refused, in its own words. */
function reasonIn(line: LogLine | undefined): string {
  for (const field of ['connection_termination_details', 'response_code_details'] as const) {
    const value = line?.[field];
    if (typeof value === 'string' && value !== 'via_upstream') return value;
  }
  return 'the sidecar said nothing';
}
