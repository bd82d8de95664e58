/**
 * Milliseconds to wait before attempt number `attempt + 1`, after `attempt` failures (1 or more): doubling from
 * `baseMs` up to `capMs`, with full jitter over the upper half. `random` is in [0, 1).
 */
export function backoffMs(attempt: number, random: number, baseMs = 1_000, capMs = 15 * 60_000): number {
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}
