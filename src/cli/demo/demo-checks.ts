import { SealwrightError } from '../../core/errors.ts';

/** One thing that the demo did, and whether it came out as it must. */
export interface Outcome {
  readonly what: string;
  readonly expected: string;
  readonly got: string;
}

/** Runs a call that must be refused, and says how it was. */
export async function refusalOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof SealwrightError) return String(error.fields['reason'] ?? error.code);
    throw error;
  }
  return 'issued';
}

export const isGood = ({ expected, got }: Outcome): boolean => expected === got;
