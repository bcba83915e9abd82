import { parentPort, workerData } from 'node:worker_threads';
import { createClock } from '../src/core/clock.ts';
import { startDataThread } from './data-thread.ts';
import { giveBackMemory } from './give-back-memory.ts';
import type { ThreadSetup } from './workers/protocol.ts';

// A thread that carries traffic. What it fails of ends it alone: the main thread starts another.
const clock = createClock({
  now: Date.now,
  elapsed: () => performance.now(),
  setTimeout,
  clearTimeout: (handle) => clearTimeout(handle),
});
if (parentPort !== null) await startDataThread(parentPort, workerData as ThreadSetup, { clock, random: Math.random });
// All is loaded, and nobody waits for an answer yet.
giveBackMemory();
