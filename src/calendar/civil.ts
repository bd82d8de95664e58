/**
 * Arithmetic on calendar days and wall clocks as plain numbers, without zone and without Date objects: `days` counts
 * from 1970-01-01, `seconds` is a wall clock read as if it were UTC. Proleptic Gregorian, years 1 to 9999.
 */
import { SyncError } from '../shared/errors.ts';

export const daySeconds = 86_400;

export interface Civil {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  /** 1 to 31. */
  readonly day: number;
}

/** Days since 1970-01-01; a day beyond the month's end flows into the next month. */
export function daysOf(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

export function civilOf(days: number): Civil {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1_460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
  };
}

/** 0 is Monday, 6 is Sunday. */
export function weekdayOf(days: number): number {
  return (((days + 3) % 7) + 7) % 7;
}

export function monthLength(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

export function dayOfSeconds(seconds: number): number {
  return Math.floor(seconds / daySeconds);
}

export function yearOfSeconds(seconds: number): number {
  return civilOf(dayOfSeconds(seconds)).year;
}

const localPattern = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?)?Z?$/;

/** Seconds of `2026-07-01T09:00:00`, `2026-07-01` or the same with Z; null when it is not a time that exists. */
export function tryParseLocal(text: string): number | null {
  if (!localPattern.test(text)) return null;
  // Slices, not groups: this runs for each moment of each event.
  const [year, month, day] = [Number(text.slice(0, 4)), Number(text.slice(5, 7)), Number(text.slice(8, 10))];
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > monthLength(year, month)) return null;
  const midnight = daysOf(year, month, day) * daySeconds;
  if (text.length < 19) return midnight;
  const [hour, minute, second] = [Number(text.slice(11, 13)), Number(text.slice(14, 16)), Number(text.slice(17, 19))];
  // RFC 5545 section 3.3.12: a leap second (60) is read as 59 where clocks do not know it.
  if (hour > 23 || minute > 59 || second > 60) return null;
  return midnight + hour * 3_600 + minute * 60 + Math.min(second, 59);
}

/** As `tryParseLocal`; throws the SyncError `calendar.moment_invalid`. */
export function parseLocal(text: string): number {
  const seconds = tryParseLocal(text);
  if (seconds !== null) return seconds;
  throw new SyncError('A date or time of an event cannot be read: it is not one of the calendar, years 1 to 9999', {
    code: 'calendar.moment_invalid',
    recovery: { kind: 'operator', remedy: 'Correct the date of the event in the calendar that it comes from.' },
  });
}

function pad(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

/** `2026-07-01`. */
export function formatDay(days: number): string {
  const { year, month, day } = civilOf(days);
  return `${String(year).padStart(4, '0')}-${pad(month)}-${pad(day)}`;
}

/** `2026-07-01T09:00:00`. */
export function formatLocal(seconds: number): string {
  const days = dayOfSeconds(seconds);
  const rest = seconds - days * daySeconds;
  return `${formatDay(days)}T${pad(Math.floor(rest / 3_600))}:${pad(Math.floor(rest / 60) % 60)}:${pad(rest % 60)}`;
}
