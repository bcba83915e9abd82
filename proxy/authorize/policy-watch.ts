import type { Logger } from '../../src/core/logger.ts';
import type { Count, Metrics } from '../../src/observe/metrics.ts';
import type { ConnectionDecision } from '../../src/policy/connection-decision.ts';
import type { ConnectionFacts, RequestFacts } from '../../src/policy/facts.ts';
import type { RuleReference, Verdict } from '../../src/policy/verdict.ts';

/** What was judged, by what, and with which answer. */
export interface Watched {
  readonly decision: ConnectionDecision;
  readonly connection: ConnectionFacts;
  /** Absent of an opaque connection. */
  readonly request: RequestFacts | undefined;
  readonly enforced: Verdict;
  /** Of a request: what `policy explain --id` is asked with. */
  readonly requestId: () => string | undefined;
}

/** Tells what the policies say that decide nothing: those of AUDIT, and dry runs. */
export interface PolicyWatch {
  /** Only of a decision that is `watched`: all others cost nothing. */
  see(watched: Watched): void;
}

export interface PolicyWatchOptions {
  readonly metrics: Metrics;
  /** One that leaves lines out where there are many: each is caused by a peer. */
  readonly logger: Pick<Logger, 'info'>;
}

/** Policies that have series of their own. Resources choose their number, so there is a bound; the rest is `other`. */
const MOST_POLICIES = 1_000;

/**
 * Counts what AUDIT rules matched and what dry runs would have decided, and logs a request where that is of interest:
 * one that is to be audited, and one whose answer would be another with all dry runs in force.
 */
export function createPolicyWatch({ metrics, logger }: PolicyWatchOptions): PolicyWatch {
  const audited = metrics.counter(
    'sealwright_policy_audit_total',
    'Requests and connections that a rule of an AUDIT policy matched, by the first such policy.',
    ['policy'],
  );
  // Actions and results are named as Istio names those of its RBAC statistics.
  const tried = metrics.counter(
    'sealwright_policy_dry_run_total',
    'What dry runs would have decided: those of DENY and of ALLOW each by themselves, and "all" as if each were enforced.',
    ['authz_dry_run_action', 'authz_dry_run_result', 'policy'],
  );
  const counts = new Map<string, Count>();
  const policies = new Set<string>();
  const label = (rule: RuleReference | undefined): string => {
    if (rule === undefined) return '';
    const name = `${rule.policy.namespace}/${rule.policy.name}`;
    if (policies.size < MOST_POLICIES) policies.add(name);
    return policies.has(name) ? name : 'other';
  };
  const count = (action: string, allowed: boolean, rule: RuleReference | undefined): void => {
    const values = [action, allowed ? 'allowed' : 'denied', label(rule)];
    const key = values.join('\0');
    let found = counts.get(key);
    if (found === undefined) counts.set(key, (found = tried.of(...values)));
    found.add(1);
  };
  return {
    see: ({ decision, connection, request, enforced, requestId }) => {
      const told = (rule: RuleReference | undefined, reason?: string) => ({
        policy: rule === undefined ? undefined : `${rule.policy.namespace}/${rule.policy.name}`,
        rule: rule?.rule,
        ...(reason === undefined ? {} : { reason }),
        from: connection.identity?.toString(),
        port: connection.destinationPort,
        requestId: requestId(),
      });
      const auditedBy = decision.audit(request);
      if (auditedBy !== undefined) {
        audited.of(label(auditedBy)).add(1);
        logger.info('a rule of an AUDIT policy matched', told(auditedBy));
      }
      const shadow = decision.shadow(request, enforced);
      if (shadow === undefined) return;
      if (decision.dryRuns.deny) count('deny', shadow.deny === undefined, shadow.deny);
      if (decision.dryRuns.allow) count('allow', shadow.allow !== undefined, shadow.allow);
      const { allow, matched, reason } = shadow.verdict;
      count('all', allow, matched);
      if (allow === enforced.allow) return;
      const would = allow ? 'would be allowed' : 'would be denied';
      logger.info(`with the dry runs in force it ${would}`, told(matched, reason));
    },
  };
}
