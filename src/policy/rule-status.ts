import type { Issue } from '../core/issue.ts';
import { isUnknowable, type Protocol } from './attribute-traits.ts';
import type { AuthorizationPolicy } from './authorization-policy.ts';
import type { CompiledRule } from './compiled-rule.ts';

/**
 * What a listener makes of a rule that it cannot judge as written, loudly: an ALLOW rule never matches, any other is
 * judged without the condition and so matches more, and an HTTP provider is not asked about TCP.
 */
export function ruleStatus(
  policy: AuthorizationPolicy,
  { rule, ignored, never }: CompiledRule,
  protocol: Protocol,
): readonly Issue[] {
  const place = {
    severity: 'warning',
    path: `spec.rules[${rule.index}]`,
    ...(policy.file === undefined ? {} : { file: policy.file }),
    ...rule.position,
  } as const;
  const subject = `rule ${rule.index} of ${policy.action} policy ${policy.namespace}/${policy.name}`;
  const issues: Issue[] = [];
  const [first] = ignored;
  if (first !== undefined) {
    const why = isUnknowable(first.attribute)
      ? `${first.field} asks for metadata of an Envoy filter`
      : `${first.field} cannot be told on a TCP port`;
    issues.push(
      never
        ? {
            ...place,
            code: 'policy_allow_never_matches',
            message: `${subject} never matches here: ${why}`,
            remedy: 'write a rule without it for this port',
          }
        : {
            ...place,
            code: 'policy_rule_widened',
            message: `${subject} matches more than is written here: ${why} and is ignored`,
            remedy: 'name the HTTP ports in to.operation.ports, or remove the condition',
          },
    );
  }
  if (policy.action === 'CUSTOM' && protocol === 'tcp') {
    issues.push({
      ...place,
      code: 'policy_custom_tcp',
      message: `${subject} asks provider ${policy.provider} on TCP ports only if that is a gRPC provider`,
      remedy: 'use a gRPC provider where TCP is to be checked, and a DENY policy where it is to be refused',
    });
  }
  return issues;
}
