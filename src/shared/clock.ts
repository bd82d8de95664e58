/** The one way to ask for the time outside the pure rooms; tests hand in one that they turn themselves. */
export interface Clock {
  now(): Date;
}

export const systemClock: Clock = { now: () => new Date() };
