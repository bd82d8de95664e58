import { explainSeries, type ClaimStory, type Story } from '../store/explain.ts';
import { exitCodes, table, tell, withProduct, type Overrides } from './context.ts';

/** Tells the whole story of the series that `query` names. Exits with 1 when there is none. */
export function explain(query: string, json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const stories = await explainSeries(product.store.db, query);
    tell(
      json,
      { query, stories },
      stories.length === 0
        ? [
            `Nothing is known of "${query}": no source shows it by this uid, id or title, and none did in the last 30 days.`,
          ]
        : stories.flatMap((story, index) => [...(index === 0 ? [] : ['']), ...sentencesOf(story)]),
    );
    return stories.length === 0 ? exitCodes.trouble : exitCodes.ok;
  });
}

/** The story in sentences and tables. */
function sentencesOf(story: Story): string[] {
  const title = story.claims.find((claim) => claim.isShown)?.title ?? story.claims[0]?.title ?? '(no title)';
  const date = story.slot === '*' ? '' : `, the date ${story.slot}`;
  const where = story.target === null ? '' : ` in the target ${story.target}`;
  return [
    `${title}${date}${where}`,
    ...(story.uid === null ? [] : [`  uid ${story.uid}, SEQUENCE ${story.sequence}`]),
    `  ${verdictOf(story)}`,
    ...indented('What the sources say', claimLines(story.claims)),
    ...indented('How the series was proven', checkLines(story.claims)),
    ...indented(
      'Not yet asked for again',
      story.stale.map(
        (one) =>
          `${one.source}: ${one.why}; ${one.failures} failures${one.code === null ? '' : `, ${one.code}: ${one.reason ?? ''}`}${one.nextTryAt === null ? '' : `; next try ${one.nextTryAt}`}`,
      ),
    ),
    ...indented(
      'Where the sources disagree',
      story.conflicts.map(
        ({ field, shown, other, rule, openedAt, closedAt }) =>
          `${field}: "${shown.value}" (${shown.source}) and "${other.value}" (${other.source}), since ${openedAt}${closedAt === null ? '' : ` until ${closedAt}`}; decided: ${rule}`,
      ),
    ),
    ...indented(
      'What stands in the target',
      story.objects.map(
        ({ calendar, part, href, writtenAt, repairs }) =>
          `${calendar}: ${href}${part === 'main' ? '' : ` (${part})`}, written ${writtenAt}${repairs === 0 ? '' : `, repaired ${repairs} times`}`,
      ),
    ),
    ...indented(
      'What was done, newest first',
      story.writes.map(
        ({ at, status, action, httpStatus, code, message }) =>
          `${at} ${status} ${action}${httpStatus === null ? '' : ` ${httpStatus}`}${code === null ? '' : ` ${code}`}${message === null ? '' : `: ${message}`}`,
      ),
    ),
  ];
}

function verdictOf({ state, why, shownBy, pinnedTo, code, reason, failures, nextTryAt }: Story): string {
  const chosen = why === null ? '' : `: ${why}`;
  const pin = pinnedTo === null ? '' : ` (pinned to ${pinnedTo})`;
  switch (state) {
    case 'shown':
      return `shows the copy of ${shownBy ?? 'a source that is no more'}${chosen}${pin}`;
    case 'covered':
      return `does not show by itself${chosen}`;
    case 'hidden':
      return 'does not show: every copy is left out';
    case 'gone':
      return `does not show${chosen}`;
    case 'waiting':
      return `is about to be written${nextTryAt === null ? '' : `, at ${nextTryAt}`}; so far${chosen === '' ? ' nothing shows' : chosen}`;
    case 'failing':
      return `could not be delivered (${code ?? ''}: ${reason ?? ''}), ${failures} failures; ${nextTryAt === null ? 'tried again when it changes' : `next try ${nextTryAt}`}`;
  }
}

function claimLines(claims: readonly ClaimStory[]): string[] {
  if (claims.length === 0) return [];
  return table(
    ['source', 'shows', 'detail', 'proven by', 'changed there', 'read', 'id'],
    claims.map((claim) => [
      claim.source,
      verdictOfClaim(claim),
      claim.detail,
      claim.checkMode ?? '',
      claim.lastModifiedAt ?? '',
      claim.readAt,
      claim.key,
    ]),
  );
}

/** How a series was proven against the dates that its source lists; nothing to say of one whose rule simply holds. */
function checkLines(claims: readonly ClaimStory[]): string[] {
  return claims.flatMap(({ source, checkMode, checkDetail }) =>
    checkMode === null || checkDetail === null ? [] : [`${source}: ${words[checkMode] ?? checkMode}; ${checkDetail}`],
  );
}

const words: Readonly<Record<string, string>> = {
  zone: 'by its rule, in another time zone',
  shifted: 'by its rule, with dates put right',
  list: 'no rule shows what the source shows',
};

function verdictOfClaim({ hiddenBy, state, isShown }: ClaimStory): string {
  if (hiddenBy !== null) return `left out by ${hiddenBy}`;
  if (state === 'held') return 'gone there, held';
  if (state === 'pending') return 'gone there, pending';
  return isShown ? 'yes' : 'no';
}

function indented(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`  ${title}:`, ...lines.map((line) => `    ${line}`)];
}
