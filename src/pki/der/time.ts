import { TAG } from './tags.ts';

/** RFC 5280 4.1.2.5: through 2049 a time is a UTCTime, from 2050 on a GeneralizedTime. */
const FIRST_GENERALIZED_YEAR = 2050;

const UTC_TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
const GENERALIZED_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;

/** Milliseconds since 1970, or undefined where the text is not such a time or not in the form of its year. */
export function decodeTime(tag: number, text: string): number | undefined {
  const match = (tag === TAG.utcTime ? UTC_TIME : GENERALIZED_TIME).exec(text);
  if (match === null) return undefined;
  const [written = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  // RFC 5280 4.1.2.5.1: a two-digit year from 50 on is of the last century.
  const year = tag === TAG.utcTime ? written + (written >= 50 ? 1900 : 2000) : written;
  if (tag === TAG.generalizedTime && year < FIRST_GENERALIZED_YEAR) return undefined;
  const time = Date.UTC(year, month - 1, day, hour, minute, second);
  // Date.UTC carries the 31st of February over into March: only what comes back as it went in was a date.
  return encodeTime(time).text === text ? time : undefined;
}

/** The form and text of a time in whole seconds, within the years 1950 to 9999. */
export function encodeTime(time: number): { readonly tag: number; readonly text: string } {
  const digits = new Date(time).toISOString().replace(/[-:T]|\.\d+/g, '');
  const year = Number(digits.slice(0, 4));
  return year < FIRST_GENERALIZED_YEAR
    ? { tag: TAG.utcTime, text: digits.slice(2) }
    : { tag: TAG.generalizedTime, text: digits };
}
