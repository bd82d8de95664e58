import type { Filters } from '../calendar/filters.ts';
import type { Privacy, PrivateItems } from '../calendar/privacy.ts';
import type { Cloud } from '../shared/clouds.ts';
import type { SourceConfig, Target, Tenant } from './model.ts';

/** What a changed setting asks for. */
export interface Consequences {
  /** Work under way is refused: what it read was read under rules that hold no more. */
  readonly bumpsEpoch: boolean;
  /** What is stored does not tell what is wanted now. */
  readonly fullReading: boolean;
  /** What is stored shows otherwise now. */
  readonly rerender: boolean;
}

export const NO_CONSEQUENCES: Consequences = { bumpsEpoch: false, fullReading: false, rerender: false };

const RERENDER: Consequences = { ...NO_CONSEQUENCES, rerender: true };
const READ: Consequences = { ...NO_CONSEQUENCES, fullReading: true };
const TIGHTEN: Consequences = { bumpsEpoch: true, fullReading: false, rerender: true };
/** Another calendar, or the same by another way. */
const ELSEWHERE: Consequences = { bumpsEpoch: true, fullReading: true, rerender: true };

const BY_FIELD: Readonly<Record<string, Consequences>> = {
  kind: ELSEWHERE,
  tenant: ELSEWHERE,
  mailbox: ELSEWHERE,
  calendar: ELSEWHERE,
  username: ELSEWHERE,
  'into.target': TIGHTEN,
  'into.calendar': TIGHTEN,
  // A pause must hold at once, whatever is under way.
  isPaused: { ...NO_CONSEQUENCES, bumpsEpoch: true },
  titleTag: RERENDER,
  reminders: RERENDER,
  priority: RERENDER,
  'window.pastDays': READ,
  'window.futureDays': READ,
  keepPast: READ,
  // What is being read now is told under the old rule.
  mayMerge: { bumpsEpoch: true, fullReading: true, rerender: false },
  strategy: RERENDER,
  dedupe: RERENDER,
  cloud: ELSEWHERE,
  directory: ELSEWHERE,
  client: ELSEWHERE,
  login: ELSEWHERE,
  graph: ELSEWHERE,
};

type Entry = Cloud | Tenant | Target | SourceConfig;

/** What the change of one field (a path, as in FieldChange) from one entry to another asks for. Pure. */
export function consequencesOfField(field: string, before: Entry, after: Entry): Consequences {
  if ('calendars' in after) return targetConsequences(field);
  if ('filters' in before && 'filters' in after) {
    if (field === 'privacy') return privacyConsequences(before.privacy, after.privacy);
    if (field === 'privateItems') return privateItemsConsequences(before, after);
    if (field.startsWith('filters.')) return filterConsequences(field, before, after);
    if (field === 'url') return ELSEWHERE;
  }
  return BY_FIELD[field] ?? NO_CONSEQUENCES;
}

/** All that any of them asks for. */
export function united(all: readonly Consequences[]): Consequences {
  return {
    bumpsEpoch: all.some(({ bumpsEpoch }) => bumpsEpoch),
    fullReading: all.some(({ fullReading }) => fullReading),
    rerender: all.some(({ rerender }) => rerender),
  };
}

/** Sources are read as before; what they show is written elsewhere or otherwise. */
function targetConsequences(field: string): Consequences {
  const moves = field === 'url' || field === 'username' || field === 'strategy' || field === 'dedupe';
  return moves ? RERENDER : NO_CONSEQUENCES;
}

const DETAIL: Readonly<Record<Privacy, number>> = { busy: 0, title: 1, full: 2 };
const PRIVATE_DETAIL: Readonly<Record<PrivateItems, number>> = { skip: 0, busy: 1, full: 2 };

function privacyConsequences(before: Privacy, after: Privacy): Consequences {
  return DETAIL[after] < DETAIL[before] ? TIGHTEN : READ;
}

function privateItemsConsequences(before: SourceConfig, after: SourceConfig): Consequences {
  if (PRIVATE_DETAIL[after.privateItems] > PRIVATE_DETAIL[before.privateItems]) return READ;
  // A claim kept as `busy` does not tell any more which events are private.
  return { ...TIGHTEN, fullReading: before.privacy === 'busy' };
}

/** What filters ask for that redaction takes away (calendar/privacy.ts): these need the event itself. */
const NEEDS: Readonly<Record<string, Privacy>> = {
  declined: 'full',
  categories: 'full',
  titles: 'title',
  sensitivities: 'title',
};

function filterConsequences(field: string, before: SourceConfig, after: SourceConfig): Consequences {
  const name = (field.split('.')[1] ?? '') as keyof Filters;
  const needed = NEEDS[name] ?? 'busy';
  const kept = before.privateItems === 'busy' ? 'busy' : before.privacy;
  const isBlind = DETAIL[kept] < DETAIL[needed];
  // What was hidden is not stored.
  const isLooser = !hidesAll(name, before.filters, after.filters);
  return { ...TIGHTEN, fullReading: isBlind || isLooser };
}

/** Whether `after` hides by this filter at least what `before` hid. */
function hidesAll(name: keyof Filters, before: Filters, after: Filters): boolean {
  if (name === 'hours') return before.hours === null;
  const [old, next] = [before[name], after[name]];
  if (typeof old === 'string') return old === 'show';
  const values: readonly string[] = typeof next === 'string' ? [] : next;
  return old.every((value) => values.includes(value));
}
