import { strict as assert } from 'node:assert';
import { type ErrorCode, SealwrightError } from '../../src/core/errors.ts';

/** What a promise was rejected with, which must be a SealwrightError with that code. */
export async function rejection(promise: Promise<unknown>, code: ErrorCode): Promise<SealwrightError> {
  const error: unknown = await promise.then(
    () => assert.fail(`it did not fail with ${code}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof SealwrightError, `not a SealwrightError: ${String(error)}`);
  assert.equal(error.code, code, error.message);
  return error;
}
