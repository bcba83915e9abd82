import { SealwrightError } from '../../../src/core/errors.ts';

/** What a program that was run to its end has said. */
export interface ProgramResult {
  /** Undefined where there is no such program. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export type RunProgram = (program: string, args: readonly string[], input?: string) => ProgramResult;

/**
 * What it printed.
 *
 * @throws SealwrightError `intercept_program_missing`, `intercept_not_permitted`, `intercept_failed`
 */
export function must(run: RunProgram, program: string, args: readonly string[], input?: string): string {
  const result = run(program, args, input);
  if (result.code !== 0) throw failureOf(program, result);
  return result.stdout;
}

export function isNotPermitted({ stderr }: ProgramResult): boolean {
  return /Permission denied|Operation not permitted|must be root/i.test(stderr);
}

export function failureOf(program: string, result: ProgramResult): SealwrightError {
  const { code, stderr } = result;
  if (code === undefined) return new SealwrightError('intercept_program_missing', { program });
  const reason = stderr.trim().split('\n')[0] ?? '';
  if (isNotPermitted(result)) return new SealwrightError('intercept_not_permitted', { program, reason });
  return new SealwrightError('intercept_failed', { program, code, reason });
}
