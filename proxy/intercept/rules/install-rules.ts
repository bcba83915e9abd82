import type { CaptureOptions } from './capture-options.ts';
import type { IpFamily } from './ip-family.ts';
import { iptables } from './iptables.ts';
import { nft } from './nft.ts';
import { removeAddress, removeMarkedRoutes, routeCommands, setRoutes } from './routes.ts';
import { failureOf, type RunProgram } from './run-program.ts';

const PROGRAMS = { iptables, nft } as const;

export type RuleProgramName = keyof typeof PROGRAMS;

/**
 * Puts the rules in force in the network namespace of this process, in place of any that stood before.
 *
 * @throws SealwrightError `intercept_program_missing`, `intercept_not_permitted`, `intercept_failed`
 */
export function installRules(
  run: RunProgram,
  name: RuleProgramName,
  { options, families }: { readonly options: CaptureOptions; readonly families: readonly IpFamily[] },
): void {
  // What the rules send somewhere must be there before them.
  for (const family of families) setRoutes(run, options, family);
  PROGRAMS[name].install(run, options, families);
  for (const [other, program] of Object.entries(PROGRAMS)) if (other !== name) program.remove(run, families);
  if (options.mode === 'REDIRECT') for (const family of families) removeMarkedRoutes(run, family);
}

/**
 * Takes away everything that `installRules` could have put there, whatever its options were. Answers whether anything was.
 *
 * @throws SealwrightError as above
 */
export function removeRules(run: RunProgram, families: readonly IpFamily[]): boolean {
  const rules = Object.values(PROGRAMS).map((program) => program.remove(run, families));
  if (rules.every((removed) => removed === undefined))
    throw failureOf('iptables', { code: undefined, stdout: '', stderr: '' });
  const routes = families.map((family) => removeMarkedRoutes(run, family));
  const address = families.includes('IPv6') && removeAddress(run);
  return rules.includes('removed') || routes.includes(true) || address;
}

/** What installing would do, as a person could type it. */
export function describeRules(
  name: RuleProgramName,
  { options, families }: { readonly options: CaptureOptions; readonly families: readonly IpFamily[] },
): string {
  const routes = families.flatMap((family) => routeCommands(options, family).map((words) => `ip ${words.join(' ')}\n`));
  return `${routes.join('')}${PROGRAMS[name].describe(options, families)}`;
}
