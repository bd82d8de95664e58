/**
 * Seconds of an iCalendar duration such as `-PT15M` or `P1W` (RFC 5545 section 3.3.6), days counted as 24 hours; null
 * when it is none.
 */
export function durationSeconds(text: string): number | null {
  const match = /^([+-]?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/.exec(text.trim());
  if (match === null || !/\d/.test(text)) return null;
  const [weeks, days, hours, minutes, seconds] = match
    .slice(2, 7)
    .map((part) => Number((part as string | undefined) ?? 0));
  const total =
    (weeks ?? 0) * 604_800 + (days ?? 0) * 86_400 + (hours ?? 0) * 3_600 + (minutes ?? 0) * 60 + (seconds ?? 0);
  // Beyond ten thousand years no date is left to reach.
  if (total > 315_576_000_000) return null;
  return match[1] === '-' ? -total : total;
}
