/** First bytes of every Outlook meeting id (MS-OXOCAL section 2.2.1.27, PidLidGlobalObjectId), as hex. */
const OUTLOOK_PREFIX = '040000008200E00074C5B7101A82E008';
/** The same section: marks an id of another program that Outlook wraps into its own form. */
const FOREIGN_MARK = '7643616C2D55696401000000';

/** A meeting's id as its copies share it, and the date that Outlook writes into the ids of single occurrences. */
export interface CleanUid {
  readonly uid: string;
  /** `2026-05-12` when the id names one occurrence of a series. */
  readonly date: string | null;
}

/**
 * Makes ids comparable between copies: in Outlook's ids the eight hex digits of the occurrence's date are zeroed, an id
 * of another program that Outlook wrapped is unwrapped. Null when there is nothing usable.
 */
export function cleanUid(raw: string | null | undefined): CleanUid | null {
  const uid = (raw ?? '').replace(/[\u0000-\u0020\u007F]/g, '').toWellFormed();
  if (uid === '' || uid.length > 1_000) return null;
  const hex = uid.toUpperCase();
  if (!/^[0-9A-F]{40,}$/.test(hex) || !hex.startsWith(OUTLOOK_PREFIX)) return { uid, date: null };

  const date = instanceDate(hex.slice(32, 40));
  const foreign = unwrap(hex);
  return { uid: foreign ?? `${OUTLOOK_PREFIX}00000000${hex.slice(40)}`, date };
}

/** Year (two bytes, big endian), month, day. */
function instanceDate(hex: string): string | null {
  const [year, month, day] = [hex.slice(0, 4), hex.slice(4, 6), hex.slice(6, 8)].map((part) =>
    Number.parseInt(part, 16),
  );
  if (year === undefined || month === undefined || day === undefined) return null;
  if (year < 1601 || year > 4500 || month < 1 || month > 12 || day < 1 || day > 31) return null;
  return `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`;
}

function unwrap(hex: string): string | null {
  const at = hex.indexOf(FOREIGN_MARK, 40);
  if (at < 0 || at % 2 === 1) return null;
  const text = Buffer.from(hex.slice(at + FOREIGN_MARK.length), 'hex')
    .toString('utf8')
    .replace(/\0+$/, '');
  return /^[\u0021-\u007E]+$/.test(text) ? text : null;
}
