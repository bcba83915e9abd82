import { strict as assert } from 'node:assert';
import { inspect } from 'node:util';
import { SealwrightError, type ErrorCode } from '../../src/core/errors.ts';

/** Runs what must fail with that code and answers the failure. */
export async function refusal(code: ErrorCode, run: () => unknown): Promise<SealwrightError> {
  try {
    await run();
  } catch (error) {
    assert.ok(error instanceof SealwrightError, `threw ${String(error)}`);
    assert.equal(error.code, code, error.message);
    return error;
  }
  return assert.fail(`${code} was not thrown`);
}

/** Asserts that nothing of a token can be read in a text: neither it nor one of its parts. */
export function assertHoldsNoToken(shown: unknown, token: string): void {
  const text = typeof shown === 'string' ? shown : `${inspect(shown, { depth: 9 })} ${JSON.stringify(shown)}`;
  for (const part of [token, ...token.split('.')]) {
    // A part of a few characters, as in a malformed token, may stand in any sentence by chance.
    if (part.length >= 16) assert.ok(!text.includes(part), `${part.slice(0, 20)}… is in ${text}`);
  }
}
