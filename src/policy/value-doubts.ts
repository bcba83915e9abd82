import type { Action, Condition, Rule } from './authorization-policy.ts';
import { fieldPath } from './field-reader.ts';
import type { Findings } from './findings.ts';
import { hostsWithoutPort } from './host-ports.ts';
import { isPathTemplate } from './path-template.ts';
import { parseStringPattern, type StringPattern } from './string-pattern.ts';

/** Warns of values that say something else than they seem to, whatever the mesh around them. */
export function warnOfValues(findings: Findings, action: Action, rule: Rule): void {
  for (const condition of [...rule.from.flat(), ...rule.to.flat(), ...rule.when]) {
    const path = `spec.rules[${rule.index}].${condition.field}`;
    for (const [index, value] of condition.values.entries()) {
      const why = CHECKS[condition.attribute.name]?.(parseStringPattern(value), value);
      if (why === undefined) continue;
      findings.warning({
        code: 'policy_value_never_matches',
        path: fieldPath(path, index),
        message: `${JSON.stringify(value.slice(0, 100))} never matches: ${why.message}`,
        remedy: why.remedy,
      });
    }
    warnOfStars(findings, condition, path);
    warnOfHostPorts(findings, { action, condition, path });
  }
}

/** What has no star in it by its nature, or next to never. */
const STARLESS: ReadonlySet<string> = new Set(['source.principal', 'request.path', 'request.host', 'connection.sni']);

/** As in Istio a star means anything at one end alone; who writes one elsewhere means something else. */
function warnOfStars(findings: Findings, { attribute, values }: Condition, path: string): void {
  if (!STARLESS.has(attribute.name)) return;
  const ofPath = attribute.name === 'request.path';
  for (const [index, value] of values.entries()) {
    if (!parseStringPattern(value).text.includes('*') || (ofPath && isPathTemplate(value))) continue;
    const ends = 'at the beginning or at the end';
    findings.warning({
      code: 'policy_star_inside',
      path: fieldPath(path, index),
      message: `${JSON.stringify(value.slice(0, 100))} is compared with a star in it: one means anything only ${ends}, not at both`,
      remedy: ofPath
        ? 'write {*} for one segment of a path, or {**} for all that is left of it'
        : `leave one star ${ends}, or write each value`,
    });
  }
}

interface Reason {
  readonly message: string;
  readonly remedy: string;
}

type Check = (pattern: StringPattern, value: string) => Reason | undefined;

/** Only what is certain: what no request that a sidecar passes on, and no caller that it admits, can have. */
const CHECKS: Readonly<Partial<Record<Condition['attribute']['name'], Check>>> = {
  'request.path': ({ kind, text }, value) => {
    if (isPathTemplate(value)) return undefined;
    if (/[?#]/.test(text))
      return { message: 'paths are compared without query and fragment', remedy: 'end it before ?' };
    const begins = kind === 'exact' || kind === 'prefix';
    if (!begins || text === '' || text.startsWith('/')) return undefined;
    return { message: 'every path begins with /', remedy: 'write / before it, or *' };
  },
  'request.host': ({ text }) =>
    text.includes('/')
      ? { message: 'a host has no / in it', remedy: 'write the host alone, such as a.example' }
      : undefined,
  // Methods are compared with their case (RFC 9110 9.1), and all in use are in capitals.
  'request.method': ({ text }, value) =>
    /[a-z]/.test(text)
      ? { message: 'methods are compared with their case', remedy: `write ${value.toUpperCase()}` }
      : undefined,
  // A certificate without a path names a trust domain and no workload (SPIFFE X.509-SVID 4).
  'source.principal': ({ kind, text }) =>
    kind === 'exact' && !text.includes('/')
      ? {
          message: 'a principal is a trust domain and a path',
          remedy: `write <trust domain>/ns/<namespace>/sa/${text}, or serviceAccounts instead of principals`,
        }
      : undefined,
  'source.namespace': ({ text }) =>
    text.includes('/') ? { message: 'a namespace has no / in it', remedy: 'write the namespace alone' } : undefined,
  'connection.sni': ({ text }, value) =>
    /[A-Z]/.test(text)
      ? { message: 'server names are compared in lower case', remedy: `write ${value.toLowerCase()}` }
      : undefined,
};

/**
 * A client may write the port behind the host, also where it is the usual one, and hosts are compared with it as Istio
 * compares them: an exact host that is denied is let through, and one that is excepted from an ALLOW rule is allowed.
 */
function warnOfHostPorts(
  findings: Findings,
  { action, condition, path }: { action: Action; condition: Condition; path: string },
): void {
  const { values, negated } = condition;
  const opens = negated ? action === 'ALLOW' : action === 'DENY' || action === 'CUSTOM';
  if (!opens || !isHost(condition)) return;
  const isWithoutPort = hostsWithoutPort(values);
  for (const [index, value] of values.entries()) {
    const { kind } = parseStringPattern(value);
    if ((kind !== 'exact' && kind !== 'suffix') || /:(?:\d+|\*)$|\]:/.test(value)) continue;
    if (!isWithoutPort(value)) continue;
    findings.warning({
      code: 'policy_host_without_port',
      path: fieldPath(path, index),
      message: `does not match ${JSON.stringify(`${value.slice(0, 100)}:8080`)}: a client that writes a port gets past it`,
      remedy:
        kind === 'exact'
          ? `write ${JSON.stringify(`${value.slice(0, 100)}:*`)} beside it`
          : 'write whole hosts, each with and without :*, for a pattern cannot begin and end with a star',
    });
  }
}

function isHost({ attribute }: Condition): boolean {
  if (attribute.name === 'request.host') return true;
  return attribute.name === 'request.headers' && (attribute.header === 'host' || attribute.header === ':authority');
}
