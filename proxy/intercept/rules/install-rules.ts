import { SealwrightError } from '../../../src/core/errors.ts';
import { TPROXY_MARK, TPROXY_PREFERENCE, TPROXY_TABLE } from '../marks.ts';
import type { CaptureOptions } from './capture-options.ts';
import { captureRules } from './capture-rules.ts';
import { FAMILIES, type IpFamily } from './ip-family.ts';
import { restoreScript } from './restore-script.ts';

/** What a program that was run to its end has said. */
export interface ProgramResult {
  /** Undefined where there is no such program. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export type RunProgram = (program: string, args: readonly string[], input?: string) => ProgramResult;

/** Seconds that another program's hold on the tables is waited for. */
const WAIT = '10';

/**
 * Puts the rules in force in the network namespace of this process, in place of any that stood before.
 *
 * @throws SealwrightError `intercept_program_missing`, `intercept_not_permitted`, `intercept_failed`
 */
export function installRules(run: RunProgram, options: CaptureOptions, families: readonly IpFamily[]): void {
  for (const family of families) {
    // What the rules send somewhere must be there before them.
    for (const words of routeCommands(options, family)) must(run, 'ip', words);
    if (options.mode === 'REDIRECT') removeRoutes(run, family);
    restore(run, family, restoreScript(save(run, family), captureRules(options, family)));
  }
}

/**
 * Takes away everything that `installRules` could have put there, whatever its options were.
 *
 * @throws SealwrightError as above
 */
export function removeRules(run: RunProgram, families: readonly IpFamily[]): void {
  for (const family of families) {
    const script = restoreScript(save(run, family), []);
    if (script !== '') restore(run, family, script);
    removeRoutes(run, family);
    if (family === 'IPv6') unlessAbsent(run, ['-6', 'addr', 'del', FAMILIES.IPv6.passthrough, 'dev', 'lo']);
  }
}

/** What installing would do, as a person could type it. */
export function describeRules(options: CaptureOptions, families: readonly IpFamily[]): string {
  return families
    .map((family) => {
      const commands = routeCommands(options, family).map((words) => `ip ${words.join(' ')}\n`);
      const script = restoreScript('', captureRules(options, family));
      return `${commands.join('')}${FAMILIES[family].prefix}-restore --noflush <<END\n${script}END\n`;
    })
    .join('');
}

/** Each may be run again. */
function routeCommands({ mode }: CaptureOptions, family: IpFamily): string[][] {
  const { flag, passthrough } = FAMILIES[family];
  // IPv4 has all of 127.0.0.0/8; of IPv6's loopback only ::1 is there by itself.
  const address = family === 'IPv6' ? [[flag, 'addr', 'replace', passthrough, 'dev', 'lo']] : [];
  if (mode === 'REDIRECT') return address;
  return [
    ...address,
    [flag, 'route', 'replace', 'local', 'default', 'dev', 'lo', 'table', `${TPROXY_TABLE}`],
    [flag, 'rule', 'add', ...MARKED],
  ];
}

/** With a place of its own, so that a second one is refused as the same. */
const MARKED = ['pref', `${TPROXY_PREFERENCE}`, 'fwmark', `${TPROXY_MARK}`, 'lookup', `${TPROXY_TABLE}`];

function removeRoutes(run: RunProgram, family: IpFamily): void {
  const { flag } = FAMILIES[family];
  unlessAbsent(run, [flag, 'rule', 'del', ...MARKED]);
  unlessAbsent(run, [flag, 'route', 'del', 'local', 'default', 'dev', 'lo', 'table', `${TPROXY_TABLE}`]);
}

function save(run: RunProgram, family: IpFamily): string {
  return must(run, `${FAMILIES[family].prefix}-save`, []);
}

function restore(run: RunProgram, family: IpFamily, script: string): void {
  must(run, `${FAMILIES[family].prefix}-restore`, ['--noflush', '--wait', WAIT], script);
}

/** What iproute2 says of something that is there already. */
const PRESENT = /File exists/;
/** And of something that is not. */
const ABSENT = /No such (?:process|file)|does not exist|Cannot assign requested address|address not found|FIB table/;

function must(run: RunProgram, program: string, args: readonly string[], input?: string): string {
  const result = run(program, args, input);
  if (result.code === 0 || (program === 'ip' && PRESENT.test(result.stderr))) return result.stdout;
  throw failure(program, result);
}

function unlessAbsent(run: RunProgram, words: readonly string[]): void {
  const result = run('ip', words);
  if (result.code !== 0 && !ABSENT.test(result.stderr)) throw failure('ip', result);
}

function failure(program: string, { code, stderr }: ProgramResult): SealwrightError {
  if (code === undefined) return new SealwrightError('intercept_program_missing', { program });
  const reason = stderr.trim().split('\n')[0] ?? '';
  if (/Permission denied|Operation not permitted|must be root/i.test(stderr)) {
    return new SealwrightError('intercept_not_permitted', { program, reason });
  }
  return new SealwrightError('intercept_failed', { program, code, reason });
}
