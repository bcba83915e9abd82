import { formatDuration } from '../../core/duration.ts';

/** A time as people compare them: UTC to the second. */
export function renderTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

/** How far off a time is: `in 11h59m`, or `3m20s ago`. Two units are enough to act on. */
export function renderDistance(milliseconds: number, now: number): string {
  const distance = Math.abs(milliseconds - now);
  const text = distance >= 2 * 86_400_000 ? `${Math.floor(distance / 86_400_000)}d` : twoUnits(distance);
  return milliseconds >= now ? `in ${text}` : `${text} ago`;
}

function twoUnits(distance: number): string {
  const unit = distance >= 3_600_000 ? 60_000 : 1_000;
  return formatDuration(Math.floor(distance / unit) * unit);
}
