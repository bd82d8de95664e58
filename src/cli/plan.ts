import { consequencesOf, type ConfigChange } from '../config/diff.ts';
import { describePlan, planTarget, type Planned, type PlannedWrite, type TargetPlan } from '../deliver/plan-writes.ts';
import { systemClock } from '../shared/clock.ts';
import { countClaims } from '../store/claims.ts';
import type { Db } from '../store/database.ts';
import { leftOutNow } from '../store/recut-claims.ts';
import { readStatus } from '../store/status.ts';
import { applyIn, fileOf } from './apply.ts';
import { exitCodes, tell, withProduct, type Overrides } from './context.ts';

/** What changed rules of a source do to what is stored of it. */
interface RuleEffect {
  readonly source: string;
  /** Series that would be left out, by the filter's name. */
  readonly leavesOut: Readonly<Record<string, number>>;
  /** Series that are left out now; with `isReadAnew` some of them may come back. */
  readonly hiddenNow: number;
  /** What is stored does not tell all: the source is read anew, and what that brings stands in no plan. */
  readonly isReadAnew: boolean;
}

export interface PlanOptions {
  readonly json: boolean;
  /** A configuration to be tried out; null: the present one. */
  readonly file: string | null;
  readonly prune: boolean;
}

const undo = new Error('tried out, nothing kept');

/**
 * Tells everything that would be written to the targets and why, and writes nothing: what waits now or, with a file, what
 * its configuration would change of what has been read, its rules first. Exits with 1 when something would be written.
 */
export function plan(options: PlanOptions, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ env, product }) => {
    const { store } = product;
    const changes: string[] = [];
    const rules: RuleEffect[] = [];
    const planned: Planned[] = [];
    await store
      .transaction(async (db) => {
        if (options.file !== null) {
          const file = fileOf(env, options.file);
          const counts = await countClaims(db);
          const applied = await applyIn(db, product, env, file, { prune: options.prune, actor: 'plan' });
          changes.push(...applied.map(({ sentence }) => sentence));
          rules.push(...(await effectsOf(db, applied, counts)));
        }
        for (const { id } of (await readStatus(db)).targets) {
          const one = await planTarget(db, id, systemClock.now());
          if (one !== null) planned.push(one);
        }
        throw undo;
      })
      .catch((thrown: unknown) => {
        if (thrown !== undo) throw thrown;
      });
    const plans: TargetPlan[] = [];
    for (const one of planned) plans.push(await describePlan((target) => product.openTarget(target), one));
    tell(options.json, { changes, rules, plans }, [
      ...changes,
      ...rules.map(sentenceOfRules),
      ...plans.flatMap(sentencesOf),
    ]);
    return plans.some(({ writes }) => writes.length > 0) ? exitCodes.trouble : exitCodes.ok;
  });
}

const ruleFields = /^(filters\.|privacy$|privateItems$)/;

async function effectsOf(
  db: Db,
  changes: readonly ConfigChange[],
  counts: Awaited<ReturnType<typeof countClaims>>,
): Promise<RuleEffect[]> {
  const leftOut = await leftOutNow(db);
  return changes
    .filter(({ list, kind }) => list === 'sources' && kind === 'update')
    .filter(({ fields }) => fields.some(({ field }) => ruleFields.test(field)))
    .map((change) => ({
      source: change.id,
      leavesOut: Object.fromEntries(
        leftOut.filter(({ source }) => source === change.id).map(({ by, count }) => [by, count]),
      ),
      hiddenNow: counts.get(change.id)?.hidden ?? 0,
      isReadAnew: consequencesOf(change).fullReading,
    }));
}

function sentenceOfRules({ source, leavesOut, hiddenNow, isReadAnew }: RuleEffect): string {
  const parts = Object.entries(leavesOut).map(([by, count]) => `${count} series more are left out by ${by}`);
  const said = parts.length === 0 ? 'of what is stored nothing more is left out' : parts.join(', ');
  const rest = isReadAnew
    ? `; it is read anew, for what is stored does not tell all${hiddenNow === 0 ? '' : `: ${hiddenNow} series that are left out now may show then`}`
    : '';
  return `source ${source}: ${said}${rest}`;
}

const signs = { create: '+', update: '~', delete: '-' } as const;

const reviews = {
  waiting: 'was restored; its sources are still being read, so that this plan is not complete ("restore status").',
  ready: 'was restored; nothing of this plan is written before "restore approve".',
} as const;

function sentencesOf({ target, writes, heldBecause, review }: TargetPlan): string[] {
  const head = review === null ? [] : [`${target} ${reviews[review]}`];
  if (writes.length === 0) return [...head, `${target}: nothing would be written.`];
  const count = (what: PlannedWrite['do']): number => writes.filter((write) => write.do === what).length;
  return [
    ...head,
    `${target}: ${count('create')} would be created, ${count('update')} updated, ${count('delete')} deleted.`,
    ...(heldBecause === null ? [] : [`  The deletions would be held: ${heldBecause}.`]),
    ...writes.flatMap((write) => [
      `  ${signs[write.do]} ${write.calendar}: ${write.title ?? write.uid} (${write.why})`,
      ...(write.fields ?? []).map(
        ({ field, from, to }) => `      ${field}${from === null ? ' changes' : `: "${from}" → "${to ?? ''}"`}`,
      ),
      ...(write.fields === null ? ['      what stands there could not be read'] : []),
    ]),
  ];
}
