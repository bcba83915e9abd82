import type { Rule } from './authorization-policy.ts';
import { isPathTemplate } from './path-template.ts';
import { parseStringPattern } from './string-pattern.ts';

/** How a path that can match begins, or, where `whole`, what it is. */
export interface PathLead {
  readonly text: string;
  readonly whole: boolean;
}

/** The leads of a rule each of whose operations names its paths by their beginnings. */
export function pathLeadsOf({ to }: Rule): readonly PathLead[] | undefined {
  const leads: PathLead[] = [];
  for (const operation of to) {
    const paths = operation.find(({ attribute, negated }) => attribute.name === 'request.path' && !negated);
    if (paths === undefined) return undefined;
    for (const value of paths.values) {
      const lead = leadOf(value);
      if (lead === undefined) return undefined;
      leads.push(lead);
    }
  }
  return leads.length === 0 ? undefined : leads;
}

function leadOf(value: string): PathLead | undefined {
  if (isPathTemplate(value)) return { text: value.slice(0, value.indexOf('{')), whole: false };
  const { kind, text } = parseStringPattern(value);
  if (kind === 'exact') return { text, whole: true };
  return kind === 'prefix' ? { text, whole: false } : undefined;
}
