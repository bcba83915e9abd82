import { TPROXY_MARK, TPROXY_PREFERENCE, TPROXY_TABLE } from '../marks.ts';
import type { CaptureOptions } from './capture-options.ts';
import { FAMILIES, type IpFamily } from './ip-family.ts';
import { failureOf, type RunProgram } from './run-program.ts';

/** With a place of its own, so that a second one is refused as the same. */
const MARKED = ['pref', `${TPROXY_PREFERENCE}`, 'fwmark', `${TPROXY_MARK}`, 'lookup', `${TPROXY_TABLE}`];

/** What iproute2 says of something that is there already. */
const PRESENT = /File exists/;
/** And of something that is not. */
const ABSENT = /No such (?:process|file)|does not exist|Cannot assign requested address|address not found|FIB table/;

/** Addresses and routes that rules send connections to. Each may be set again. */
export function routeCommands({ mode }: Pick<CaptureOptions, 'mode'>, family: IpFamily): string[][] {
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

/** @throws SealwrightError as `must` */
export function setRoutes(run: RunProgram, options: Pick<CaptureOptions, 'mode'>, family: IpFamily): void {
  for (const words of routeCommands(options, family)) unless(run, words, PRESENT);
}

/**
 * Answers whether there were any.
 *
 * @throws SealwrightError as `must`
 */
export function removeMarkedRoutes(run: RunProgram, family: IpFamily): boolean {
  const { flag } = FAMILIES[family];
  const rule = unless(run, [flag, 'rule', 'del', ...MARKED], ABSENT);
  const route = unless(
    run,
    [flag, 'route', 'del', 'local', 'default', 'dev', 'lo', 'table', `${TPROXY_TABLE}`],
    ABSENT,
  );
  return rule || route;
}

/**
 * Answers whether it was there.
 *
 * @throws SealwrightError as `must`
 */
export function removeAddress(run: RunProgram): boolean {
  return unless(run, ['-6', 'addr', 'del', FAMILIES.IPv6.passthrough, 'dev', 'lo'], ABSENT);
}

/** Answers whether it had to be done. */
function unless(run: RunProgram, words: readonly string[], done: RegExp): boolean {
  const result = run('ip', words);
  if (result.code !== 0 && !done.test(result.stderr)) throw failureOf('ip', result);
  return result.code === 0;
}
