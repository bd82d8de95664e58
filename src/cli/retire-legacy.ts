import { readFileSync } from 'node:fs';
import { foreignEntries, planRetirement, retire, type LegacyEntry, type Retired } from '../deliver/retire-legacy.ts';
import { holderName } from '../jobs/holder.ts';
import { withLease } from '../jobs/with-lease.ts';
import { SyncError } from '../shared/errors.ts';
import { recordAudit } from '../store/history.ts';
import { loadTarget } from '../store/targets.ts';
import { exitCodes, tell, withProduct, type Overrides } from './context.ts';

export interface RetireOptions {
  readonly json: boolean;
  readonly target: string;
  /** A calendar of the account, by the last segment of its path, instead of a list. */
  readonly vdirsyncer: string | null;
  readonly unmatchedToo: boolean;
  /** Without it the command only tells. */
  readonly isForReal: boolean;
}

/**
 * Tells which entries of the program before are replaced by ours, and with `isForReal` moves those to the trash. The list
 * is the predecessor's mapping table as CSV: caldav_uid, caldav_url, source_event_id.
 */
export function retireLegacy(file: string | null, options: RetireOptions, overrides: Overrides): Promise<number> {
  const listed = file === null ? [] : readMapping(file);
  return withProduct(overrides, async ({ product }) => {
    const { store } = product;
    const target = await loadTarget(store.db, options.target);
    if (target === null)
      throw new SyncError(`There is no target ${options.target}`, {
        code: 'config.missing_entry',
        field: '--target',
        recovery: { kind: 'operator', remedy: 'Name a target of the configuration.' },
      });
    const dav = product.openTarget(target);
    const done = await withLease(
      store.db,
      `target:${target.id}`,
      holderName(),
      new AbortController().signal,
      async (_lease, signal) => {
        const entries = options.vdirsyncer === null ? listed : await foreignEntries(dav, options.vdirsyncer, signal);
        const plan = await planRetirement(store, dav, target, entries, signal);
        if (!options.isForReal) return { plan, gone: 0 };
        const onProgress = (count: number, all: number): void => {
          if (!options.json && process.stderr.isTTY) process.stderr.write(`${count}/${all} …\r`);
        };
        const { unmatchedToo } = options;
        return { plan, gone: await retire(store, dav, target, plan, { unmatchedToo, onProgress }, signal) };
      },
    );
    if (done === null)
      throw new SyncError(`${target.id} is being written to`, {
        code: 'retire.busy',
        recovery: { kind: 'operator', remedy: 'Try again in a minute.' },
      });
    const { plan, gone } = done.result;
    if (gone > 0)
      await recordAudit(store.db, {
        actor: 'cli',
        action: 'legacy.retire',
        subject: target.id,
        detail: { gone, from: options.vdirsyncer ?? 'mapping' },
      });
    tell(options.json, { retired: plan.retired, gone }, sentencesOf(plan.retired, gone, options));
    return exitCodes.ok;
  });
}

const words = {
  replaced: 'replaced by ours',
  unmatched: 'no source of ours has it',
  gone: 'not there any more',
  other: 'something else stands there now',
  unreadable: 'cannot be read: delete it by hand',
} as const;

function sentencesOf(retired: readonly Retired[], gone: number, { isForReal, unmatchedToo }: RetireOptions): string[] {
  const count = (verdict: Retired['verdict']): number => retired.filter((one) => one.verdict === verdict).length;
  const lines = retired
    .filter(({ verdict }) => verdict !== 'gone')
    .map((one) => {
      const how = one.verdict === 'replaced' ? ` of ${one.source}, the same ${one.by}` : '';
      return `  ${one.title ?? one.uid}: ${words[one.verdict]}${how}`;
    });
  const totals = `${count('replaced')} are replaced by ours, ${count('unmatched')} are in no source of ours, ${count('gone')} are not there any more.`;
  if (isForReal) return [...lines, totals, `${gone} went to the trash, where they stay for 30 days.`];
  const more = unmatchedToo || count('unmatched') === 0 ? '' : ' With --unmatched-too the others go as well.';
  return [...lines, totals, `Nothing was changed. With --for-real those that are replaced go to the trash.${more}`];
}

/** Throws `retire.mapping` when the file is not such a list. */
function readMapping(file: string): LegacyEntry[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw mapping(`${file} cannot be read`, cause);
  }
  const [header = [], ...rows] = parseCsv(text);
  const at = (name: string): number => header.findIndex((one) => one.trim().toLowerCase() === name);
  const [uid, url, id] = [at('caldav_uid'), at('caldav_url'), at('source_event_id')];
  if (uid < 0 || url < 0) throw mapping(`${file} has no columns caldav_uid and caldav_url in its first line`);
  return rows.flatMap((row) => {
    const entry = { uid: row[uid] ?? '', url: row[url] ?? '', sourceEventId: (id < 0 ? '' : row[id]) || null };
    return entry.uid === '' || entry.url === '' ? [] : [entry];
  });
}

/** RFC 4180. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  for (const match of text.matchAll(/("(?:[^"]|"")*"|[^",\r\n]*)(,|\r?\n|$)/g)) {
    const [, cell = '', end] = match;
    row.push(cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell);
    if (end === ',') continue;
    if (row.length > 1 || row[0] !== '') rows.push(row);
    row = [];
  }
  return rows;
}

function mapping(message: string, cause?: unknown): SyncError {
  return new SyncError(message, {
    code: 'retire.mapping',
    field: 'mapping',
    recovery: { kind: 'operator', remedy: 'Make it as docs/IMPLEMENTATION_GUIDE.md says.' },
    ...(cause === undefined ? {} : { cause }),
  });
}
