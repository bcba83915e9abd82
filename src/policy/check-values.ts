import type { ConditionAttribute } from './authorization-policy.ts';
import { fieldPath } from './field-reader.ts';
import type { Finding, Findings } from './findings.ts';
import { parseIpRange } from './ip-range.ts';
import { pathTemplateFault } from './path-template.ts';
import { parsePort } from './port.ts';
import { MOST_SERVICE_ACCOUNTS, serviceAccountFault } from './service-account-reference.ts';
import { trustDomainFault } from './trust-domain-pattern.ts';

interface Values {
  readonly path: string;
  readonly values: readonly string[];
  readonly attribute: ConditionAttribute;
}

/** Checks each value of one list by what it is compared with. */
export function checkValues(findings: Findings, { path, values, attribute }: Values): void {
  if (attribute.name === 'source.serviceAccount' && values.length > MOST_SERVICE_ACCOUNTS) {
    findings.error({
      code: 'policy_too_many',
      path,
      message: `has ${values.length} entries`,
      remedy: `write at most ${MOST_SERVICE_ACCOUNTS}, or use namespaces`,
    });
  }
  for (const [index, value] of values.entries()) {
    const fault = faultOf(attribute, value);
    if (fault !== undefined) findings.error({ path: fieldPath(path, index), ...fault });
    if (attribute.name === 'source.principal' && value.startsWith('spiffe://')) {
      findings.warning({
        code: 'policy_principal_scheme',
        path: fieldPath(path, index),
        message: 'a principal is written without spiffe:// and this one matches nobody',
        remedy: `write ${JSON.stringify(value.slice('spiffe://'.length))}`,
      });
    }
  }
}

function faultOf({ name }: ConditionAttribute, value: string): Omit<Finding, 'path'> | undefined {
  const quoted = JSON.stringify(value.slice(0, 100));
  const given = (code: string, fault: string | undefined, remedy: string): Omit<Finding, 'path'> | undefined =>
    fault === undefined ? undefined : { code, message: `${quoted}: ${fault}`, remedy };
  switch (name) {
    case 'source.ip':
    case 'remote.ip':
    case 'destination.ip': {
      const fault = parseIpRange(value) === undefined ? 'neither an IP address nor a CIDR range' : undefined;
      return given('policy_ip_invalid', fault, 'write it like 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32');
    }
    case 'destination.port': {
      const fault = parsePort(value) === undefined ? 'not a port' : undefined;
      return given('policy_port_invalid', fault, 'write a number from 0 to 65535');
    }
    case 'source.serviceAccount':
      return given('policy_service_account_invalid', serviceAccountFault(value), 'write <namespace>/<name> or <name>');
    case 'source.trustDomain':
      return given(
        'policy_trust_domain_invalid',
        trustDomainFault(value),
        'write it like example.org or *.example.org',
      );
    case 'request.path':
      return given(
        'policy_path_template_invalid',
        pathTemplateFault(value),
        'write whole segments {*}, and {**} last of them, such as /shops/{*}/items/{**}',
      );
    default:
      return undefined;
  }
}
