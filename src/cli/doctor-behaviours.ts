import type { Product } from '../compose.ts';
import { isOutdated, readBehaviours } from '../sources/graph/behaviours.ts';
import { questions } from '../sources/graph/probe/questions.ts';
import { loadBehaviours } from '../store/behaviours.ts';

/** What is known of how a tenant's Graph answers, and whether it still holds. */
export async function behavioursLine(
  { store }: Product,
  tenantId: string,
  now: Date,
): Promise<string | { warning: string; remedy: string }> {
  const { json, probedAt } = await loadBehaviours(store.db, tenantId);
  const found = Object.entries(readBehaviours(json)).filter(([, { at }]) => !isOutdated(at, now));
  const met = found.filter(([, { by }]) => by === 'reading').map(([question, { answer }]) => `${question} ${answer}`);
  const probe = `"calendar-sync probe ${tenantId}"`;
  if (probedAt === null) {
    const says =
      met.length === 0 ? 'not probed; readings find out what they need' : `not probed; readings met: ${met.join(', ')}`;
    return `${says} (${probe} asks once for all)`;
  }
  const day = probedAt.toISOString().slice(0, 10);
  const trouble = found.flatMap(([name, { answer }]) => {
    const question = questions.find((one) => one.name === name);
    const consequence = question?.answers.find((one) => one.answer === answer && one.isTrouble === true);
    return consequence === undefined ? [] : [`${question?.asks ?? ''} ${answer}: ${consequence.means}`];
  });
  const known = `probed on ${day}, ${found.length} of ${questions.length} behaviours known`;
  if (trouble.length > 0)
    return { warning: `${known}. ${trouble.join(' ')}`, remedy: `When it is mended, run ${probe}.` };
  if (met.length > 0)
    return {
      warning: `${known}; since then readings met otherwise: ${met.join(', ')}`,
      remedy: `They go by that. Run ${probe} to ask for the rest.`,
    };
  if (isOutdated(probedAt, now))
    return { warning: `${known}; that is long ago, and readings rely on it no more`, remedy: `Run ${probe}.` };
  const odd = found.filter(([name, { answer }]) => unusual[name]?.(answer) === true);
  return odd.length === 0
    ? `${known}; all can be asked for`
    : `${known}; ${odd.map(([name, { answer }]) => `${name}: ${answer}`).join(', ')}`;
}

/** Answers by which a reading of this tenant goes other ways than usual. */
const unusual: Readonly<Record<string, (answer: string) => boolean>> = {
  ...Object.fromEntries(
    ['occurrenceId', 'seriesParts', 'sequence', 'fields', 'instanceFields', 'calendarSubscriptions'].map((name) => [
      name,
      (answer: string) => answer === 'refused',
    ]),
  ),
  pageSize: (answer) => answer !== '100',
  subscriptionMinutes: () => true,
};
