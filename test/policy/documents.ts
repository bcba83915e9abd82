import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import type { AuthorizationPolicy } from '../../src/policy/authorization-policy.ts';
import { parseAuthorizationPolicy } from '../../src/policy/parse-authorization-policy.ts';

/** Every document of a YAML text that holds something. */
export function yamlDocuments(text: string): unknown[] {
  return parseAllDocuments(text)
    .map((document): unknown => document.toJS())
    .filter((value) => value !== null);
}

export function yamlFile(path: string): unknown[] {
  return yamlDocuments(readFileSync(path, 'utf8'));
}

/** An AuthorizationPolicy of the namespace `shop`, as an object. */
export function policyDocument(spec: unknown, metadata: Record<string, unknown> = {}): unknown {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'p', namespace: 'shop', ...metadata },
    spec,
  };
}

/** A policy that has to be valid. */
export function policyOf(value: unknown): AuthorizationPolicy {
  const { policy, issues } = parseAuthorizationPolicy({ value });
  assert.ok(policy, JSON.stringify(issues));
  return policy;
}

export function policy(spec: unknown, metadata: Record<string, unknown> = {}): AuthorizationPolicy {
  return policyOf(policyDocument(spec, metadata));
}
