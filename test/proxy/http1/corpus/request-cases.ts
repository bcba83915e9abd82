import { CHUNK_CASES } from './chunk-cases.ts';
import { FRAMING_CASES } from './framing-cases.ts';
import { FIELD_CASES, START_LINE_CASES } from './head-cases.ts';
import type { RequestCase } from './message-case.ts';
import { HOP_CASES, HOST_CASES } from './routing-cases.ts';

/** All that clients are tried with. */
export const REQUEST_CASES: readonly RequestCase[] = [
  ...FRAMING_CASES,
  ...CHUNK_CASES,
  ...FIELD_CASES,
  ...START_LINE_CASES,
  ...HOST_CASES,
  ...HOP_CASES,
];
