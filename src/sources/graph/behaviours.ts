/**
 * How one tenant's Graph answers where its documents are silent or reports contradict each other. `probe` asks; what the
 * reading meets by itself counts more, for it is newer.
 */
export interface FoundBehaviour {
  /** One of the answers of its question, or a number as text. */
  readonly answer: string;
  readonly by: 'probe' | 'reading';
  /** ISO 8601 in UTC. */
  readonly at: string;
}

/** By the name of its question; what nobody knows is not there. */
export type Behaviours = Readonly<Record<string, FoundBehaviour>>;

/**
 * What can be asked for besides the plain fields of an event, and refused by 400 where a cloud does not know it.
 * `occurrenceId` is not in the metadata of v1.0 (msgraph-metadata#827); `seriesParts`, cancelledOccurrences and
 * exceptionOccurrences, came to v1.0 in May 2025, and national clouds trail; `sequence` is an extended property;
 * `fields`: any $select of an event; `instanceFields`: any $select of /instances.
 */
export const askedParts = ['occurrenceId', 'seriesParts', 'sequence', 'fields', 'instanceFields'] as const;
export type AskedPart = (typeof askedParts)[number];

/** What a reading takes for true at its start, and what it has met since. Shared by all readings of a tenant. */
export interface Learned {
  knows(part: AskedPart): boolean;
  /** It was answered: a later refusal is about one event. */
  answered(parts: readonly AskedPart[]): void;
  /** It was refused, and the rest was answered. */
  refused(parts: readonly AskedPart[]): void;
  /** Rows of a page to ask for at most. */
  readonly pageSize: number;
}

export const PAGE_SIZE = 100;
export const SMALLEST_PAGE = 10;
/** After that nothing is ruled out any more because of an answer: clouds learn, and the reading asks anew. */
const GOOD_FOR_MS = 30 * 86_400_000;

/**
 * Starts with what was found before. `tell` hears what turns out otherwise than that, so that it can be kept; a refusal
 * of what has been answered is not such a thing.
 */
export function learnedFrom(
  found: Behaviours,
  now: Date,
  tell: (question: string, answer: string) => void = () => undefined,
): Learned {
  const answerTo = (question: string): string | null => goodAnswer(found[question], now);
  const refused = new Set(askedParts.filter((part) => answerTo(part) === 'refused'));
  const answered = new Set<AskedPart>();
  const stored = Number(answerTo('pageSize') ?? PAGE_SIZE);
  return {
    knows: (part) => !refused.has(part),
    answered(parts) {
      for (const part of parts) answered.add(part);
    },
    refused(parts) {
      for (const part of parts) {
        if (answered.has(part) || refused.has(part)) continue;
        refused.add(part);
        tell(part, 'refused');
      }
    },
    pageSize: Number.isInteger(stored) ? Math.min(PAGE_SIZE, Math.max(SMALLEST_PAGE, stored)) : PAGE_SIZE,
  };
}

/** What a subscription is asked for at first. Null: as ever. */
export interface SubscriptionHabits {
  /** The longest life that is granted, in minutes. */
  readonly minutes: number | null;
  /** Whether one calendar can be watched by itself. */
  readonly perCalendar: boolean | null;
}

export function subscriptionHabits(found: Behaviours, now: Date): SubscriptionHabits {
  const longest = Number(goodAnswer(found['subscriptionMinutes'], now));
  const perCalendar = goodAnswer(found['calendarSubscriptions'], now);
  return {
    minutes: Number.isInteger(longest) && longest >= 45 ? longest : null,
    perCalendar: perCalendar === null ? null : perCalendar === 'accepted',
  };
}

function goodAnswer(one: FoundBehaviour | undefined, now: Date): string | null {
  return one === undefined || isOutdated(one.at, now) ? null : one.answer;
}

/** Whether answers are too old to be relied on. */
export function isOutdated(at: string | Date, now: Date): boolean {
  return now.getTime() - new Date(at).getTime() >= GOOD_FOR_MS;
}

/** Reads what is stored; anything else than behaviours is nothing. */
export function readBehaviours(json: unknown): Behaviours {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return {};
  const entries = Object.entries(json).flatMap(([question, value]: [string, unknown]): [string, FoundBehaviour][] => {
    if (typeof value !== 'object' || value === null) return [];
    const { answer, by, at } = value as Record<string, unknown>;
    const isRead =
      typeof answer === 'string' && (by === 'probe' || by === 'reading') && !Number.isNaN(Date.parse(String(at)));
    return isRead ? [[question, { answer, by, at: String(at) }]] : [];
  });
  return Object.fromEntries(entries);
}
