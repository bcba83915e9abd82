/** Where a field stands in a document: `spec.rules[0].when[1].key`, or the same as a list of steps. */
export type FieldPath = string | readonly FieldStep[];

export type FieldStep = string | number;

/** A key that can stand behind a dot without being mistaken for something else. */
const PLAIN_KEY = /^[A-Za-z_$][\w$-]*$/;

/**
 * Writes steps as a person would say them. A key that holds dots or slashes stands in brackets, as kubectl writes it:
 * `metadata.annotations[istio.io/dry-run]`.
 */
export function formatFieldPath(steps: readonly FieldStep[]): string {
  return steps.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    if (!PLAIN_KEY.test(step)) return `${text}[${/^\d+$|[\]"]/.test(step) ? JSON.stringify(step) : step}]`;
    return text === '' ? step : `${text}.${step}`;
  }, '');
}

const STEP = /\.?([^.[\]]+)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\[([^\]]*)\]/y;

/** Reads what `formatFieldPath` writes. What cannot be read ends the path: a near place is better than none. */
export function parseFieldPath(text: string): FieldStep[] {
  const steps: FieldStep[] = [];
  STEP.lastIndex = 0;
  for (let match = STEP.exec(text); match !== null; match = STEP.exec(text)) {
    const [, dotted, index, quoted, bracketed] = match;
    if (index !== undefined) steps.push(Number(index));
    else if (quoted !== undefined) steps.push(unquote(quoted));
    else steps.push(dotted ?? bracketed ?? '');
  }
  return steps;
}

function unquote(inner: string): string {
  try {
    return String(JSON.parse(`"${inner}"`));
  } catch {
    return inner;
  }
}
