/** A span of time, `from` inclusive, `to` exclusive; both ISO 8601 UTC instants such as `2026-01-01T00:00:00Z`. */
export interface Window {
  readonly from: string;
  readonly to: string;
}
