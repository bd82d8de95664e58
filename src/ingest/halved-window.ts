import type { Window } from '../shared/window.ts';

const dayMs = 86_400_000;
/** 90 days back and 730 ahead come down to 6 and 46. */
export const mostHalvings = 4;

const hourMs = 3_600_000;
/** Less than the week after which everything is read anyway. */
const longestPatienceMs = 6 * dayMs;

/**
 * How long a stream with a halved window goes on before a longer one is tried: an hour, for most troubles are over by
 * then, and about twice as long after each trial that fails. Pure.
 */
export function patienceMs(failedTrials: number): number {
  return Math.min(longestPatienceMs, hourMs * (2 ** (failedTrials + 1) - 1));
}

/** The window of a source around a day, halved so many times on both sides. Pure. */
export function halvedWindow(
  now: Date,
  { pastDays, futureDays }: { readonly pastDays: number; readonly futureDays: number },
  halvings: number,
): Window {
  const day = Math.floor(now.getTime() / dayMs) * dayMs;
  const share = 2 ** halvings;
  const iso = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');
  return {
    from: iso(day - Math.ceil(pastDays / share) * dayMs),
    to: iso(day + (Math.ceil(futureDays / share) + 1) * dayMs),
  };
}
