import { formatIssue } from '../../src/core/issue.ts';
import { readResources, type FileReading } from '../../src/resources/read-file.ts';
import type { Resource } from '../../src/resources/resource.ts';

export function read(text: string): FileReading {
  return readResources(text, { file: 'r.yaml', validators: [], createdAt: () => 1_000 });
}

/** The one resource of a text without errors. */
export function readOne(text: string): Resource {
  const { resources, issues } = read(text);
  const [resource] = resources;
  if (resource === undefined || resources.length !== 1) throw new Error(issues.map(formatIssue).join('\n'));
  return resource;
}

/** The findings of a text as `severity code path`. */
export function findings(text: string): string[] {
  return read(text).issues.map(({ severity, code, path }) => `${severity} ${code} ${path}`);
}

/** A resource of a kind of `networking.istio.io`, of a spec in YAML's flow style. */
export function networking(kind: string, spec: string): string {
  return `apiVersion: networking.istio.io/v1\nkind: ${kind}\nmetadata: {name: x, namespace: shop}\nspec: ${spec}\n`;
}

/** A policy that denies one path: small, and different for each path. */
export function policy(name: string, path = '/admin', namespace = 'shop'): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: ${name}
  namespace: ${namespace}
spec:
  action: DENY
  rules:
    - to:
        - operation:
            paths: ["${path}"]
`;
}
