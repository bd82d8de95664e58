import { decideHeld, listHeld, recreateCalendar, type GuardDecision } from '../store/guard.ts';
import { exitCodes, table, tell, withProduct, type Overrides } from './context.ts';

/** Lists what waits for a decision. */
export function showHeld(json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const { removals, calendars } = await listHeld(product.store.db);
    const rows = removals.map((one) => [one.source, String(one.count), String(one.upcoming), one.since, one.reason]);
    const gone = calendars.map(({ target, calendar, objects, since }) => [
      `${target}/${calendar}`,
      String(objects),
      since,
    ]);
    tell(
      json,
      [...removals, ...calendars],
      [
        ...(rows.length === 0
          ? ['No removals are held.']
          : [
              ...table(['source', 'held', 'upcoming', 'since', 'why'], rows),
              '',
              'The events go on showing. "guard approve <source>" removes them, "guard discard <source>" keeps them and reads the source anew.',
            ]),
        ...(gone.length === 0
          ? []
          : [
              '',
              ...table(['calendar gone from its server', 'entries', 'since'], gone),
              '',
              'What goes there waits. "guard recreate <target/calendar>" makes it again with all that shows in it.',
            ]),
      ],
    );
    return exitCodes.ok;
  });
}

/** Carries out, or forgets, what is held of one source, or of `target:<id>`. */
export function decide(decision: GuardDecision, subject: string, json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product: { store, hints } }) => {
    const { count, hint } = await store.transaction((db) => decideHeld(db, subject, decision, 'cli'));
    hints.send(hint.kind, hint.id);
    const isTarget = subject.startsWith('target:');
    const id = isTarget ? subject.slice('target:'.length) : subject;
    tell(json, { [isTarget ? 'target' : 'source']: id, decision, count }, [
      isTarget
        ? decision === 'approve'
          ? `${count} meetings are deleted from ${id}; they are kept in the trash for 30 days.`
          : `${count} meetings stay in ${id} while all its sources are read anew.`
        : decision === 'approve'
          ? `${count} events of ${id} are removed; what is deleted from the target is kept in the trash for 30 days.`
          : `${count} events of ${id} stay; the source is read anew.`,
    ]);
    return exitCodes.ok;
  });
}

/** Makes a calendar again that is gone from its server. */
export function recreate(place: string, json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product: { store, hints } }) => {
    const [target = '', calendar = ''] = place.split('/');
    await store.transaction((db) => recreateCalendar(db, target, calendar, 'cli'));
    hints.send('deliver', target);
    tell(json, { target, calendar }, [`${place} is made again, with all that shows in it.`]);
    return exitCodes.ok;
  });
}
