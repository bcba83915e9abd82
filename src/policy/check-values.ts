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

type Check = Pick<Finding, 'code' | 'remedy'> & { readonly fault: (value: string) => string | undefined };

const IP: Check = {
  code: 'policy_ip_invalid',
  fault: (value) => (parseIpRange(value) === undefined ? 'neither an IP address nor a CIDR range' : undefined),
  remedy: 'write it like 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32',
};

const CHECKS: Readonly<Partial<Record<ConditionAttribute['name'], Check>>> = {
  'source.ip': IP,
  'remote.ip': IP,
  'destination.ip': IP,
  'destination.port': {
    code: 'policy_port_invalid',
    fault: (value) => (parsePort(value) === undefined ? 'not a port' : undefined),
    remedy: 'write a number from 0 to 65535',
  },
  'source.serviceAccount': {
    code: 'policy_service_account_invalid',
    fault: serviceAccountFault,
    remedy: 'write <namespace>/<name> or <name>',
  },
  'source.trustDomain': {
    code: 'policy_trust_domain_invalid',
    fault: trustDomainFault,
    remedy: 'write it like example.org or *.example.org',
  },
  'request.path': {
    code: 'policy_path_template_invalid',
    fault: pathTemplateFault,
    remedy: 'write whole segments {*}, and {**} last of them, such as /shops/{*}/items/{**}',
  },
};

function faultOf({ name }: ConditionAttribute, value: string): Omit<Finding, 'path'> | undefined {
  const check = CHECKS[name];
  const fault = check?.fault(value);
  if (check === undefined || fault === undefined) return undefined;
  return { code: check.code, message: `${JSON.stringify(value.slice(0, 100))}: ${fault}`, remedy: check.remedy };
}
