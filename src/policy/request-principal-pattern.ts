import type { JwtFacts } from './facts.ts';
import { compileStringPatterns, type StringTest } from './string-pattern.ts';

/**
 * `requestPrincipals` and `request.auth.principal`: `<iss>/<sub>`, cut at the LAST `/`, for an issuer is often a URL.
 * Istio matches the two claims apart, so a star belongs to one of them only (generator.go, requestPrincipalGenerator):
 * `*` both given; `*x/y` issuer ends with x; `*x` subject ends with x; `x/y*` subject begins with y; `x*` issuer begins
 * with x. A value without `/` and without a star asks for an empty subject.
 */
export function compileRequestPrincipal(text: string): (jwt: JwtFacts) => boolean {
  const slash = text.lastIndexOf('/');
  const issuer = slash === -1 ? text : text.slice(0, slash);
  const subject = slash === -1 ? '' : text.slice(slash + 1);
  const [issuerTest, subjectTest] = testsOf({ text, whole: slash === -1, issuer, subject });
  return ({ claims }) => issuerTest(textClaim(claims['iss'])) && subjectTest(textClaim(claims['sub']));
}

interface Parts {
  readonly text: string;
  /** There is no `/`. */
  readonly whole: boolean;
  readonly issuer: string;
  readonly subject: string;
}

const given: StringTest = (value) => value !== undefined && value !== '';

function testsOf({ text, whole, issuer, subject }: Parts): readonly [StringTest, StringTest] {
  if (text === '*') return [given, given];
  if (text.startsWith('*')) return whole ? [given, pattern(text)] : [pattern(issuer), exactly(subject)];
  if (text.endsWith('*')) return whole ? [pattern(text), given] : [exactly(issuer), pattern(subject)];
  return [exactly(issuer), exactly(subject)];
}

function exactly(text: string): StringTest {
  return (value) => value === text;
}

function pattern(text: string): StringTest {
  return compileStringPatterns([text], { present: 'non-empty' });
}

function textClaim(claim: unknown): string | undefined {
  return typeof claim === 'string' ? claim : undefined;
}
