import { contains, parseIpRange } from '../../src/policy/ip-range.ts';
import type { IpAddress } from '../../src/policy/ip-address.ts';

/**
 * A small interpreter of the Envoy RBAC configuration that Istio builds: the oracle of the conformance tests. It reads
 * the configuration as data and shares nothing with the engine but the arithmetic of IP ranges, which has tests of its
 * own. What it does not know is an error, so that it cannot agree by ignoring something.
 */
export interface EnvoyFacts {
  /** The URI SAN of the peer; nothing for plaintext. */
  readonly principal: string | undefined;
  readonly directRemoteIp: IpAddress;
  readonly remoteIp: IpAddress;
  readonly destinationIp: IpAddress;
  readonly destinationPort: number;
  readonly serverName: string;
  /** Pseudo-headers included, by lower-case name. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  /** Without the query. */
  readonly path: string;
  /** By filter name. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

type Node = Record<string, unknown>;

export interface EnvoyEngine {
  readonly action: 'ALLOW' | 'DENY' | 'LOG';
  /** The id of the first policy that matches. */
  match(facts: EnvoyFacts): string | undefined;
}

/** Reads `rules` or `shadowRules` of an RBAC filter. */
export function envoyEngine(rules: unknown): EnvoyEngine {
  const { action = 'ALLOW', policies = {}, ...rest } = rules as Node;
  if (Object.keys(rest).length > 0) throw new Error(`unknown fields ${Object.keys(rest).join()}`);
  if (action !== 'ALLOW' && action !== 'DENY' && action !== 'LOG') throw new Error(`unknown action ${String(action)}`);
  // std::map: by bytes.
  const sorted = Object.entries(policies as Record<string, Node>).sort(([a], [b]) =>
    Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
  return {
    action,
    match: (facts) =>
      sorted.find(([, policy]) => {
        const { permissions, principals, ...other } = policy;
        if (Object.keys(other).length > 0) throw new Error(`unknown fields ${Object.keys(other).join()}`);
        return (
          (permissions as Node[]).some((node) => matches(node, facts)) &&
          (principals as Node[]).some((node) => matches(node, facts))
        );
      })?.[0],
  };
}

/** A permission or a principal: the two share their shapes. */
function matches(node: Node, facts: EnvoyFacts): boolean {
  const [[kind, value], ...more] = Object.entries(node) as [[string, Node], ...unknown[]];
  if (more.length > 0) throw new Error(`more than one kind in ${JSON.stringify(node)}`);
  const list = (name: string): Node[] => value[name] as Node[];
  switch (kind) {
    case 'any':
      return true;
    case 'andRules':
      return list('rules').every((child) => matches(child, facts));
    case 'orRules':
      return list('rules').some((child) => matches(child, facts));
    case 'andIds':
      return list('ids').every((child) => matches(child, facts));
    case 'orIds':
      return list('ids').some((child) => matches(child, facts));
    case 'notRule':
    case 'notId':
      return !matches(value, facts);
    case 'authenticated':
      return facts.principal !== undefined && text(value['principalName'] as Node, facts.principal);
    case 'remoteIp':
      return within(value, facts.remoteIp);
    case 'directRemoteIp':
      return within(value, facts.directRemoteIp);
    case 'destinationIp':
      return within(value, facts.destinationIp);
    case 'destinationPort':
      return facts.destinationPort === (value as unknown);
    case 'requestedServerName':
      return text(value, facts.serverName);
    case 'header': {
      const header = facts.headers[String(value['name']).toLowerCase()];
      if (value['presentMatch'] === true) return header !== undefined;
      return header !== undefined && [header].flat().some((line) => text(value['stringMatch'] as Node, line));
    }
    case 'urlPath':
      return text(value['path'] as Node, facts.path);
    case 'uriTemplate': {
      const { pathTemplate } = value['typedConfig'] as { pathTemplate: string };
      return templateExpression(pathTemplate).test(facts.path);
    }
    case 'metadata': {
      let found: unknown = facts.metadata[String(value['filter'])];
      for (const { key } of value['path'] as { key: string }[]) found = (found as Node | undefined)?.[key];
      return metadataValue(value['value'] as Node, found);
    }
    default:
      throw new Error(`unknown kind ${kind}`);
  }
}

function within(cidr: Node, ip: IpAddress): boolean {
  const range = parseIpRange(`${String(cidr['addressPrefix'])}/${String(cidr['prefixLen'])}`);
  if (range === undefined) throw new Error(`bad range ${JSON.stringify(cidr)}`);
  return contains(range, ip);
}

function metadataValue(matcher: Node, value: unknown): boolean {
  const [[kind, inner], ...more] = Object.entries(matcher) as [[string, Node], ...unknown[]];
  if (more.length > 0) throw new Error('more than one value matcher');
  switch (kind) {
    case 'stringMatch':
      return typeof value === 'string' && text(inner, value);
    case 'listMatch':
      return Array.isArray(value) && value.some((item) => metadataValue(inner['oneOf'] as Node, item));
    case 'orMatch':
      return (inner['valueMatchers'] as Node[]).some((child) => metadataValue(child, value));
    default:
      throw new Error(`unknown value matcher ${kind}`);
  }
}

/** RE2 matches the whole text; the expressions here mean the same in JavaScript. */
const expressions = new Map<string, RegExp>();

function expression(source: string): RegExp {
  let compiled = expressions.get(source);
  if (compiled === undefined) {
    compiled = new RegExp(`^(?:${source})$`);
    expressions.set(source, compiled);
  }
  return compiled;
}

function text(matcher: Node, value: string): boolean {
  const { ignoreCase, ...rest } = matcher;
  const [[kind, wanted], ...more] = Object.entries(rest) as [[string, unknown], ...unknown[]];
  if (more.length > 0) throw new Error('more than one string matcher');
  const fold = (given: string): string => (ignoreCase === true ? given.toLowerCase() : given);
  switch (kind) {
    case 'exact':
      return fold(value) === fold(String(wanted));
    case 'prefix':
      return fold(value).startsWith(fold(String(wanted)));
    case 'suffix':
      return fold(value).endsWith(fold(String(wanted)));
    case 'safeRegex':
      return expression(String((wanted as Node)['regex'])).test(value);
    default:
      throw new Error(`unknown string matcher ${kind}`);
  }
}

/** Envoy's uri_template matcher: `*` one segment, `**` any text, of the characters that a path may have. */
function templateExpression(template: string): RegExp {
  const character = "a-zA-Z0-9\\-._~%!$&'()+,;:@=";
  const source = template
    .split(/(\*\*|\*)/)
    .map((part) =>
      part === '**' ? `[${character}/]*` : part === '*' ? `[${character}]+` : part.replaceAll(/[.$()+]/g, '\\$&'),
    )
    .join('');
  return expression(source);
}
