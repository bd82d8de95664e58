import type { Window } from '../shared/window.ts';

const dayMs = 86_400_000;
/** 90 days back and 730 ahead come down to 6 and 46. */
export const mostHalvings = 4;

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
