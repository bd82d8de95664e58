import type { ClaimStory, Story } from '../../store/explain.ts';
import { html, type Html } from '../html.ts';
import { button, frame, tableOf, when } from './layout.ts';
import type { Told } from './pages.ts';

/** Looks a series up, and tells the whole story of it. */
export function meetingsPage(query: string, stories: readonly Story[], { done }: Told): string {
  return frame(
    { title: 'Meetings', at: 'meetings', root: './', done, isSignedIn: true },
    html`<form class="ask" method="get" action="./meetings">
        <div>
          <label for="q">UID, source's id or a part of the title</label>
          <input id="q" name="q" type="search" value="${query}" size="40" required />
        </div>
        <button>Look up</button>
      </form>
      ${query !== '' && stories.length === 0 && html`<p role="status">Nothing is known of "${query}".</p>`}
      ${stories.map(storySection)}`,
  );
}

const states: Readonly<Record<Story['state'], string>> = {
  shown: 'shows',
  covered: 'does not show by itself',
  hidden: 'does not show: every copy is left out',
  gone: 'does not show',
  waiting: 'is about to be written',
  failing: 'could not be delivered',
};

function storySection(story: Story): Html {
  const { uid, target, state, shownBy, why, pinnedTo, claims, conflicts, objects, writes } = story;
  const title = claims.find(({ isShown }) => isShown)?.title ?? claims[0]?.title ?? '(no title)';
  const trouble = story.code === null ? '' : `${story.code}: ${story.reason ?? ''}`;
  return html`<section class="story">
    <h2>${title}</h2>
    <dl>
      <dt>Now</dt>
      <dd>${states[state]}${shownBy !== null && html`, the copy of ${shownBy}`}${why !== null && html`: ${why}`}</dd>
      ${
        trouble !== '' &&
        html`<dt>Trouble</dt>
          <dd class="bad">${trouble}; next try ${when(story.nextTryAt)}</dd>`
      }
      ${
        target !== null &&
        html`<dt>Target</dt>
          <dd>${target}</dd>`
      }
      ${
        uid !== null &&
        html`<dt>UID</dt>
          <dd><code>${uid}</code>, SEQUENCE ${story.sequence}</dd>`
      }
      <dt>Pinned to</dt>
      <dd>
        ${pinnedTo ?? 'nothing'}
        ${pinnedTo !== null && uid !== null && button('./pins', { uid, source: '' }, { label: 'Unpin', about: title, isSecond: true })}
      </dd>
    </dl>
    ${tableOf(
      'What the sources say',
      ['Source', 'Title', 'Starts (UTC)', 'Shows', 'Detail', 'Changed there (UTC)', 'Read (UTC)', 'Pin'],
      claims.map((claim) => [
        claim.source,
        claim.title ?? '',
        claim.start === null ? '' : when(claim.start),
        verdictOf(claim),
        claim.detail,
        claim.lastModifiedAt === null ? '' : when(claim.lastModifiedAt),
        when(claim.readAt),
        uid !== null && claims.length > 1 && claim.hiddenBy === null && claim.source !== pinnedTo
          ? button(
              './pins',
              { uid, source: claim.source },
              { label: 'Pin', about: `${claim.source}, ${title}`, isSecond: true },
            )
          : '',
      ]),
    )}
    ${
      conflicts.length > 0 &&
      tableOf(
        'Where they disagree',
        ['Field', 'Shows', 'Other', 'Decided by', 'Since (UTC)', 'Until'],
        conflicts.map(({ field, shown, other, rule, openedAt, closedAt }) => [
          field,
          `${shown.value} (${shown.source})`,
          `${other.value} (${other.source})`,
          rule,
          when(openedAt),
          closedAt === null ? 'open' : when(closedAt),
        ]),
      )
    }
    ${
      objects.length > 0 &&
      tableOf(
        'What stands in the target',
        ['Calendar', 'Path', 'Written (UTC)', 'Repairs'],
        objects.map(({ calendar, href, writtenAt, repairs }) => [
          calendar,
          html`<code>${href}</code>`,
          when(writtenAt),
          repairs,
        ]),
      )
    }
    ${
      writes.length > 0 &&
      tableOf(
        'What was done, newest first',
        ['When (UTC)', 'Status', 'What', 'Code', 'Said'],
        writes.map(({ at, status, action, code, message }) => [when(at), status, action, code ?? '', message ?? '']),
      )
    }
  </section>`;
}

function verdictOf({ hiddenBy, state, isShown }: ClaimStory): string {
  if (hiddenBy !== null) return `left out by ${hiddenBy}`;
  if (state !== 'shown') return `gone there, ${state}`;
  return isShown ? 'yes' : 'no';
}
