import { readFileSync } from 'node:fs';

/** proc(5) counts in ticks, of which Linux shows user space 100 a second on every architecture. */
const TICKS_PER_SECOND = 100;

/**
 * CPU seconds, user and system, that a process has used, those threads included that have ended. Linux only. The ticks
 * of 10 ms make an error below 1 us a call over 10,000 calls.
 */
export function processCpu(pid: number): number {
  // The second field is the program's name in brackets, which may hold anything, brackets and spaces too.
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
  const seconds = (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  if (Number.isNaN(seconds)) throw new Error('/proc has another form than proc(5) says');
  return seconds;
}
