/**
 * Local times and instants, by Node's own time zone data and nothing of the product: the simulator is the independent
 * truth against which the product's zone arithmetic is measured.
 */

/** CLDR windowsZones, territory 001, for the zones that tests and the demo use. */
const windowsZones: Readonly<Record<string, string>> = {
  UTC: 'Etc/UTC',
  'GMT Standard Time': 'Europe/London',
  'Greenwich Standard Time': 'Atlantic/Reykjavik',
  'W. Europe Standard Time': 'Europe/Berlin',
  'Romance Standard Time': 'Europe/Paris',
  'Central European Standard Time': 'Europe/Warsaw',
  'Central Europe Standard Time': 'Europe/Budapest',
  'E. Europe Standard Time': 'Europe/Chisinau',
  'FLE Standard Time': 'Europe/Kiev',
  'GTB Standard Time': 'Europe/Bucharest',
  'Turkey Standard Time': 'Europe/Istanbul',
  'Israel Standard Time': 'Asia/Jerusalem',
  'South Africa Standard Time': 'Africa/Johannesburg',
  'Egypt Standard Time': 'Africa/Cairo',
  'Russian Standard Time': 'Europe/Moscow',
  'Arabian Standard Time': 'Asia/Dubai',
  'Iran Standard Time': 'Asia/Tehran',
  'India Standard Time': 'Asia/Calcutta',
  'Nepal Standard Time': 'Asia/Katmandu',
  'SE Asia Standard Time': 'Asia/Bangkok',
  'China Standard Time': 'Asia/Shanghai',
  'Singapore Standard Time': 'Asia/Singapore',
  'Tokyo Standard Time': 'Asia/Tokyo',
  'AUS Eastern Standard Time': 'Australia/Sydney',
  'Cen. Australia Standard Time': 'Australia/Adelaide',
  'Lord Howe Standard Time': 'Australia/Lord_Howe',
  'New Zealand Standard Time': 'Pacific/Auckland',
  'UTC+12': 'Etc/GMT-12',
  'Hawaiian Standard Time': 'Pacific/Honolulu',
  'Alaskan Standard Time': 'America/Anchorage',
  'Pacific Standard Time': 'America/Los_Angeles',
  'US Mountain Standard Time': 'America/Phoenix',
  'Mountain Standard Time': 'America/Denver',
  'Central America Standard Time': 'America/Guatemala',
  'Central Standard Time': 'America/Chicago',
  'Canada Central Standard Time': 'America/Regina',
  'Eastern Standard Time': 'America/New_York',
  'Atlantic Standard Time': 'America/Halifax',
  'Newfoundland Standard Time': 'America/St_Johns',
  'Bahia Standard Time': 'America/Bahia',
  'E. South America Standard Time': 'America/Sao_Paulo',
  'Argentina Standard Time': 'America/Buenos_Aires',
  'Pacific SA Standard Time': 'America/Santiago',
};

const formats = new Map<string, Intl.DateTimeFormat>();
const offsets = new Map<string, number>();
const quarterMs = 15 * 60_000;

/** The IANA zone behind a Windows or IANA name; null when there is none (`tzone://Microsoft/Custom` and the like). */
export function ianaZone(name: string): string | null {
  const known = windowsZones[name];
  if (known !== undefined) return known;
  if (name === 'tzone://Microsoft/Utc') return 'Etc/UTC';
  if (name === '') return null;
  try {
    formatOf(name);
    return name;
  } catch {
    return null;
  }
}

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    });
    formats.set(zone, format);
  }
  return format;
}

/** Local time minus UTC in milliseconds at an instant; `zone` is an IANA name. */
export function offsetMs(instantMs: number, zone: string): number {
  if (zone === 'Etc/UTC') return 0;
  // Zones change their offset on whole quarters of an hour, so one answer serves the quarter.
  const quarter = Math.floor(instantMs / quarterMs);
  const key = `${zone} ${quarter}`;
  const cached = offsets.get(key);
  if (cached !== undefined) return cached;
  const at = quarter * quarterMs;
  const part: Record<string, number> = {};
  for (const { type, value } of formatOf(zone).formatToParts(at)) part[type] = Number(value);
  const local = Date.UTC(
    part['year'] ?? 0,
    (part['month'] ?? 1) - 1,
    part['day'],
    part['hour'],
    part['minute'],
    part['second'],
  );
  if (offsets.size > 500_000) offsets.clear();
  offsets.set(key, local - at);
  return local - at;
}

/**
 * The instant of a local time `2026-07-01T09:00:00` in an IANA zone. A time that occurs twice is its first pass, one
 * that does not occur is read with the offset before the gap (RFC 5545 section 3.3.5).
 */
export function toInstant(local: string, zone: string): number {
  const asUtc = Date.parse(`${local}Z`);
  const before = offsetMs(asUtc - 86_400_000, zone);
  const after = offsetMs(asUtc + 86_400_000, zone);
  if (offsetMs(asUtc - before, zone) === before) return asUtc - before;
  if (offsetMs(asUtc - after, zone) === after) return asUtc - after;
  return asUtc - before;
}

/** The local time `2026-07-01T09:00:00` of an instant in an IANA zone. */
export function toLocal(instantMs: number, zone: string): string {
  return new Date(instantMs + offsetMs(instantMs, zone)).toISOString().slice(0, 19);
}

/** `2026-07-01T07:00:00Z`. */
export function utc(instantMs: number): string {
  return `${new Date(instantMs).toISOString().slice(0, 19)}Z`;
}
