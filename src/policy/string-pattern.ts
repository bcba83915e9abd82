import { lowerCase } from './lower-case.ts';

/**
 * Istio's string match: exact, `abc*`, `*abc`, or `*` for anything that is there. A star elsewhere is a star.
 * The order of the tests is Istio's (pilot/pkg/security/authz/matcher/string.go): `*abc*` is the suffix `abc*`.
 */
export interface StringPattern {
  readonly kind: 'exact' | 'prefix' | 'suffix' | 'present';
  readonly text: string;
}

export function parseStringPattern(text: string): StringPattern {
  if (text === '*') return { kind: 'present', text: '' };
  if (text.startsWith('*')) return { kind: 'suffix', text: text.slice(1) };
  if (text.endsWith('*')) return { kind: 'prefix', text: text.slice(0, -1) };
  return { kind: 'exact', text };
}

/** Answers for a value that may be absent; what is absent matches nothing. */
export type StringTest = (value: string | undefined) => boolean;

export interface StringMatching {
  /** What `*` asks: that there is a value, or that it is not empty either. */
  readonly present: 'given' | 'non-empty';
  readonly ignoreCase?: boolean;
}

/** One test for a list of patterns, any of which may match. */
export function compileStringPatterns(patterns: readonly string[], matching: StringMatching): StringTest {
  if (matching.ignoreCase === true) {
    const test = compileStringPatterns(
      patterns.map((pattern) => pattern.toLowerCase()),
      { present: matching.present },
    );
    return (value) => test(value === undefined ? undefined : lowerCase(value));
  }
  const parsed = patterns.map(parseStringPattern);
  const exact = parsed.filter(({ kind }) => kind === 'exact').map(({ text }) => text);
  const tests: StringTest[] = exact.length === 0 ? [] : [oneOf(exact)];
  for (const { kind, text } of parsed) {
    if (kind === 'prefix') tests.push((value) => value?.startsWith(text) ?? false);
    else if (kind === 'suffix') tests.push((value) => value?.endsWith(text) ?? false);
    else if (kind === 'present') {
      tests.push(
        matching.present === 'given' ? (value) => value !== undefined : (value) => value !== undefined && value !== '',
      );
    }
  }
  const [only] = tests;
  return tests.length === 1 && only !== undefined ? only : (value) => tests.some((test) => test(value));
}

/** A set beats comparing from about four texts on. */
function oneOf(texts: readonly string[]): StringTest {
  const [first, second] = texts;
  if (texts.length === 1) return (value) => value === first;
  if (texts.length === 2) return (value) => value === first || value === second;
  const set: ReadonlySet<string | undefined> = new Set(texts);
  return (value) => value !== undefined && set.has(value);
}
