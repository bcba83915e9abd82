import { networkInterfaces } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { createClock } from '../src/core/clock.ts';
import { startDataThread } from './data-thread.ts';
import { giveBackMemory } from './give-back-memory.ts';
import type { ThreadSetup } from './workers/protocol.ts';

// A thread that carries traffic. What it fails of ends it alone: the main thread starts another.
const setup = workerData as ThreadSetup;
const clock = createClock({
  now: Date.now,
  elapsed: () => performance.now(),
  setTimeout,
  clearTimeout: (handle) => clearTimeout(handle),
});
const socketCalls =
  setup.interception === undefined ? undefined : await (await import('./intercept/koffi-calls.ts')).openKoffiCalls();
const interfaceAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address));
if (parentPort !== null) {
  startDataThread(parentPort, setup, { clock, random: Math.random, socketCalls, interfaceAddresses });
}
// All is loaded, and nobody waits for an answer yet.
giveBackMemory();
