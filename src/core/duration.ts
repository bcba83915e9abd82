import { SealwrightError } from './errors.ts';

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The longest duration read, in milliseconds (a thousand years): sums of it with a wall time stay exact integers. */
const LONGEST = 365_000 * 86_400_000;

/**
 * Reads a duration as Go and Kubernetes write it (`90s`, `1h30m`, `250ms`), and `d` for 24 hours besides.
 * Returns milliseconds.
 *
 * @throws SealwrightError `duration_invalid`
 */
export function parseDuration(text: string): number {
  const refuse = (): never => {
    throw new SealwrightError('duration_invalid', { got: text.slice(0, 64) });
  };
  let rest = text;
  let total = 0;
  if (rest === '0') return 0;
  if (rest === '') return refuse();
  while (rest !== '') {
    const piece = /^(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)/.exec(rest);
    const unit = UNIT_MS[piece?.[2] ?? ''];
    if (piece?.[1] === undefined || unit === undefined) return refuse();
    total += Number(piece[1]) * unit;
    rest = rest.slice(piece[0].length);
  }
  return total > LONGEST ? refuse() : total;
}

/** Writes milliseconds as `1h30m`, `24h`, `15s` or `250ms`: what `parseDuration` reads. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds < 0) return `-${formatDuration(-milliseconds)}`;
  if (milliseconds < 1_000) return `${Math.round(milliseconds)}ms`;
  let seconds = Math.round(milliseconds / 1_000);
  const hours = Math.floor(seconds / 3_600);
  seconds -= hours * 3_600;
  const minutes = Math.floor(seconds / 60);
  seconds -= minutes * 60;
  const parts = [hours > 0 ? `${hours}h` : '', minutes > 0 ? `${minutes}m` : '', seconds > 0 ? `${seconds}s` : ''];
  return parts.join('') || '0s';
}
