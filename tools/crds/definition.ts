import { RESOURCE_KINDS } from '../../src/resources/kind.ts';
import type { Schema } from './schema.ts';
import { STATUS } from './status-schema.ts';

export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'date';
  readonly jsonPath: string;
  /** 1 for `-o wide` alone. */
  readonly priority?: number;
}

export const AGE: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

/** What `ca/controllers` says of it. */
export const ACCEPTED: PrinterColumn = {
  name: 'Accepted',
  type: 'string',
  jsonPath: '.status.conditions[?(@.type=="Accepted")].status',
};

/** Why it is accepted or not, in one word. */
export const REASON: PrinterColumn = {
  name: 'Reason',
  type: 'string',
  jsonPath: '.status.conditions[?(@.type=="Accepted")].reason',
};

export const WORKLOADS: PrinterColumn = {
  name: 'Workloads',
  type: 'string',
  jsonPath: '.status.conditions[?(@.type=="Distributed")].message',
  priority: 1,
};

export interface KindContent {
  readonly kind: string;
  readonly spec: Schema;
  /** Whether an object without a spec is refused. */
  readonly specRequired?: boolean;
  readonly columns: readonly PrinterColumn[];
}

/** The CustomResourceDefinition of one kind; names, group and versions are those by which the CA reads it. */
export function definitionOf({ kind, spec, specRequired = false, columns }: KindContent): Schema {
  const row = RESOURCE_KINDS.find((one) => one.kind === kind);
  if (row === undefined) throw new TypeError(`${kind} is no kind that is read`);
  const [group = ''] = row.apiVersion.split('/');
  const singular = kind.toLowerCase();
  const versions = row.apiVersions.map((apiVersion) => {
    const [, name = ''] = apiVersion.split('/');
    return {
      name,
      served: true,
      storage: apiVersion === row.apiVersion,
      subresources: { status: {} },
      additionalPrinterColumns: columns,
      schema: {
        openAPIV3Schema: {
          type: 'object',
          ...(specRequired ? { required: ['spec'] } : {}),
          properties: { spec, status: STATUS },
        },
      },
    };
  });
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${row.plural}.${group}`,
      // Taking a definition away takes every policy with it, and with the last policy everything is allowed.
      annotations: { 'helm.sh/resource-policy': 'keep' },
      labels: { 'app.kubernetes.io/name': 'sealwright', 'app.kubernetes.io/component': 'crds' },
    },
    spec: {
      group,
      names: {
        kind,
        listKind: `${kind}List`,
        plural: row.plural,
        singular,
        ...(row.short.length === 0 ? {} : { shortNames: row.short }),
        categories: ['istio-io', `${group.split('.')[0] ?? ''}-istio-io`],
      },
      scope: 'Namespaced',
      versions,
    },
  };
}
