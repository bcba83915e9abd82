import { SealwrightError } from '../core/errors.ts';
import { RecordReader } from '../core/record-reader.ts';

/**
 * An answer of the operator API, to be read field by field.
 *
 * @throws SealwrightError `operator_answer_invalid`, also later, from the reader
 */
export function readAnswer(value: unknown): RecordReader {
  return new RecordReader(value, (field, reason) => new SealwrightError('operator_answer_invalid', { field, reason }));
}
