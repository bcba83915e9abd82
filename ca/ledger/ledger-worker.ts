import { parentPort, workerData } from 'node:worker_threads';
import { serveWriter } from './serve-writer.ts';
import type { WriterData } from './worker-protocol.ts';

// The thread that commits: an fsync here makes nobody else wait.
if (parentPort !== null) serveWriter(parentPort, workerData as WriterData, Date.now);
