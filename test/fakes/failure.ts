import { strict as assert } from 'node:assert';
import { type ErrorCode, SealwrightError } from '../../src/core/errors.ts';

/** What a call failed with, which must be a SealwrightError with that code. */
export function failureOf(call: () => unknown, code: ErrorCode): SealwrightError {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof SealwrightError, `not a SealwrightError: ${String(error)}`);
    assert.equal(error.code, code, error.message);
    return error;
  }
  return assert.fail(`it did not fail with ${code}`);
}
