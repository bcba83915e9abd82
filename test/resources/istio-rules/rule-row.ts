export type Spec = Readonly<Record<string, unknown>>;
export interface Row {
  /** Istio's rule: its number in the list of the webhook's, or where the CRD has it. */
  readonly rule: string;
  readonly what: string;
  readonly kind?: string;
  readonly spec: Spec;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly severity?: 'warning';
  readonly code: string;
  readonly path: string;
}

export const CUSTOM = { action: 'CUSTOM', provider: { name: 'ext' } };
export const source = (fields: Spec, more: Spec = {}): Spec => ({ ...more, rules: [{ from: [{ source: fields }] }] });
export const operation = (fields: Spec, more: Spec = {}): Spec => ({
  ...more,
  rules: [{ to: [{ operation: fields }] }],
});
export const when = (fields: Spec, more: Spec = {}): Spec => ({ ...more, rules: [{ when: [fields] }] });
export const SOURCE = 'spec.rules[0].from[0].source';
export const OPERATION = 'spec.rules[0].to[0].operation';
export const WHEN = 'spec.rules[0].when[0]';
export const labels = (matchLabels: Spec): Spec => ({ selector: { matchLabels } });
export const many = <T>(count: number, value: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => value(i));
