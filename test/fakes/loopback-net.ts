/** How many networks one process may take before it comes to those of the next process id. */
const OF_PROCESS = 32;
/** 127.20.0 to 127.253.249: neither 127.0.0, where everything is, nor 127.0.1, where the samples are. */
const FIRST = 20;
const SECOND_NUMBERS = 234;
const THIRD_NUMBERS = 250;

let taken = 0;

/**
 * The first three numbers of a loopback network that nobody else has: no other caller in this process, and no process
 * of tests beside it. There the ports of the mesh can be what they are anywhere.
 */
export function loopbackNet(): string {
  const index = (process.pid * OF_PROCESS + taken) % (SECOND_NUMBERS * THIRD_NUMBERS);
  taken += 1;
  return `127.${FIRST + Math.floor(index / THIRD_NUMBERS)}.${index % THIRD_NUMBERS}`;
}
