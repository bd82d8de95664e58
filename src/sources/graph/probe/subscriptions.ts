import { toSyncError } from '../../../shared/errors.ts';
import { calendarPath, openSession, resolveCalendar } from '../calendars.ts';
import type { GraphClient, SubscriptionAnswer } from '../client.ts';
import {
  deleteSubscription,
  judgeRefusal,
  longestNamed,
  requestSubscription,
  resourceOf,
  type Addresses,
} from '../subscriptions.ts';
import type { Place } from './gather.ts';
import type { Question } from './question.ts';

/** What trying came to, by question; nothing where it could not be told. */
export interface Tried {
  readonly found: Readonly<Record<string, readonly string[]>>;
  /** Subscriptions that were made and could not be ended: the service ends what it does not know, once a day. */
  readonly left: number;
  /** Why something is still open. */
  readonly reason: string | null;
}

const option = 'Run this with --subscribe, which makes a subscription or two and ends them at once.';

export const subscriptionQuestions: readonly Question[] = [
  {
    // 10,080 in current docs, 4,230 until 2025, national clouds may trail (`change-notifications-subscription-lifetime.md`)
    name: 'subscriptionMinutes',
    asks: 'How long may a subscription live, in minutes?',
    settle: ({ tried }) => tried['subscriptionMinutes'] ?? [],
    answers: [
      { answer: null, means: 'Switched: new subscriptions are asked for this long, and renewed at half their life.' },
    ],
    toSettle: option,
  },
  {
    // C#51: `/users/{id}/events` told of the default calendar only
    name: 'calendarSubscriptions',
    asks: 'Can one calendar be watched by itself?',
    settle: ({ tried }) => tried['calendarSubscriptions'] ?? [],
    answers: [
      {
        answer: 'refused',
        means: 'Switched: mailboxes are watched; calendars but the default one are polled as ever.',
      },
      { answer: 'accepted', means: 'Switched: each calendar is watched by itself.' },
    ],
    toSettle: option,
  },
];

export interface TryOptions extends Addresses {
  readonly client: GraphClient;
  readonly place: Place;
  readonly clientState: string;
  readonly now: () => Date;
  readonly signal: AbortSignal;
}

/** Longer than any cloud grants, so that the refusal names what it grants; then what was granted once. */
const lives = [43_200, 10_080, 4_230, 1_440];
const shortMinutes = 60;

/**
 * Makes subscriptions and ends them at once: the only thing of a probe that is no GET, and only done when asked
 * for. Graph calls our addresses meanwhile, so that the service has to run. Throws SyncError when no answer came.
 */
export async function trySubscriptions(options: TryOptions): Promise<Tried> {
  const { client, place, signal } = options;
  const { resource: mailbox } = await resourceOf(client, { ...place, calendar: 'default' }, 'mailbox', signal);
  const calendar = await resolveCalendar(openSession(client, place.mailbox, signal), place.calendar);
  const user = mailbox.replace(/\/events$/, '');
  const found: Record<string, string[]> = {};
  let left = 0;

  const make = async (resource: string, minutes: number, isCalendar: boolean): Promise<Made> => {
    const now = options.now();
    const answer = await requestSubscription(client, { ...options, resource, minutes, now });
    if (answer.kind === 'ok') {
      left += await end(client, answer, signal);
      return { kind: 'granted', minutes: Math.min(minutes, grantedMinutes(answer.json, now) ?? minutes) };
    }
    const outcome = judgeRefusal(answer.answer, answer.error, { minutes, isCalendar });
    if (outcome.kind === 'shorter') return { kind: 'too-long', most: longestNamed(answer.answer) };
    // One like it is there: so there can be.
    if (outcome.kind === 'duplicate' && isCalendar) return { kind: 'granted', minutes };
    if (outcome.kind === 'not-this-calendar') return { kind: 'refused' };
    return { kind: 'unknown', reason: outcome.kind === 'refused' ? outcome.error.message : 'One like it is there.' };
  };

  for (const minutes of lives) {
    const made = await make(mailbox, minutes, false);
    if (made.kind === 'unknown') return { found, left, reason: made.reason };
    const most = made.kind === 'granted' ? made.minutes : made.kind === 'too-long' ? made.most : null;
    if (most === null) continue;
    found['subscriptionMinutes'] = [String(most)];
    break;
  }
  const made = await make(`${user}${calendarPath(calendar)}/events`, shortMinutes, true);
  if (made.kind === 'granted' || made.kind === 'refused')
    found['calendarSubscriptions'] = [made.kind === 'granted' ? 'accepted' : 'refused'];
  return { found, left, reason: made.kind === 'unknown' ? made.reason : null };
}

/** What one try came to. */
type Made =
  | { readonly kind: 'granted'; readonly minutes: number }
  | { readonly kind: 'too-long'; readonly most: number | null }
  | { readonly kind: 'refused' }
  | { readonly kind: 'unknown'; readonly reason: string };

/** How many stay: 0 or 1. */
async function end(
  client: GraphClient,
  { json }: Extract<SubscriptionAnswer, { kind: 'ok' }>,
  signal: AbortSignal,
): Promise<number> {
  const id = typeof json === 'object' && json !== null && 'id' in json ? json.id : null;
  if (typeof id !== 'string') return 1;
  try {
    await deleteSubscription(client, id, signal);
    return 0;
  } catch (thrown) {
    if (toSyncError(thrown).code === 'graph.aborted') throw thrown;
    return 1;
  }
}

function grantedMinutes(json: unknown, now: Date): number | null {
  const text = typeof json === 'object' && json !== null && 'expirationDateTime' in json ? json.expirationDateTime : '';
  const at = Date.parse(String(text));
  return Number.isNaN(at) ? null : Math.round((at - now.getTime()) / 60_000);
}
