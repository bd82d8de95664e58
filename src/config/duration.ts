const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;

/** Seconds of a duration such as `60s`, `15m`, `12h`, `7d`; null for anything else. */
export function parseDuration(text: string): number | null {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  return count === undefined ? null : Number(count) * SECONDS[unit as keyof typeof SECONDS];
}

/** The shortest text that `parseDuration` reads as these seconds. */
export function renderDuration(seconds: number): string {
  const unit = (['d', 'h', 'm'] as const).find((candidate) => seconds > 0 && seconds % SECONDS[candidate] === 0) ?? 's';
  return `${seconds / SECONDS[unit]}${unit}`;
}
