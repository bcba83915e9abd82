import type { Random } from '../core/backoff.ts';

/** How far renewals of workloads that started together spread around the half, as a share of the half. */
const JITTER = 0.1;

/**
 * When a certificate is to be renewed, in wall milliseconds: at half of the time from its receipt to its end, ±10 %.
 * Counted from the receipt, since `notBefore` is backdated and would have short-lived ones renewed at once.
 */
export function renewalTime(
  { receivedAt, notAfter }: { readonly receivedAt: number; readonly notAfter: number },
  random: Random,
): number {
  const half = Math.max(0, notAfter - receivedAt) / 2;
  return Math.round(receivedAt + half * (1 - JITTER + 2 * JITTER * random()));
}

/** No waiting between tries is longer than this share of what is left: an hour before the end, six minutes. */
const SHARE_OF_REST = 0.1;

/**
 * How long to wait after a failed try, in milliseconds: what the backoff says, but never so long that a short-lived
 * certificate would run out between two tries. Once it has run out, the backoff alone counts.
 */
export function retryDelay(backoff: number, rest: number, shortest: number): number {
  return rest <= 0 ? backoff : Math.min(backoff, Math.max(shortest, Math.round(rest * SHARE_OF_REST)));
}
