import type { CaptureOptions } from './capture-options.ts';
import type { IpFamily } from './ip-family.ts';
import type { RunProgram } from './run-program.ts';

/** One of the programs by which the kernel is told rules. All methods throw what `must` throws. */
export interface RuleProgram {
  /** Puts the rules in force in place of any that it set before, without a moment without rules. */
  install(run: RunProgram, options: CaptureOptions, families: readonly IpFamily[]): void;
  /** Takes away what it may have set. Undefined where there is no such program, which then can have set nothing. */
  remove(run: RunProgram, families: readonly IpFamily[]): 'removed' | 'nothing' | undefined;
  /** What `install` would do, as a person could type it. */
  describe(options: CaptureOptions, families: readonly IpFamily[]): string;
}
