/** Small things that Outlook users do all day; each changes the truth and says so in a sentence. */
import { instancesOf } from './instances.ts';
import type { OutlookCalendar } from './outlook.ts';
import { plusDays, weekdayOf, dayNumber, weekdays } from './patterns.ts';
import type { OutlookMailbox } from './people.ts';
import type { ItemState } from './state.ts';
import type { World } from './world.ts';

/** What an action works on; null is answered when it finds nothing to do. */
interface Scene {
  readonly calendar: OutlookCalendar;
  readonly who: string;
  readonly today: string;
  readonly random: () => number;
  /** Upcoming events of the calendar that its owner organizes. */
  readonly singles: readonly ItemState[];
  readonly series: readonly ItemState[];
  readonly invitations: readonly ItemState[];
}
type Action = (scene: Scene) => string | null;

export class DemoSteps {
  private readonly world: World;
  private readonly mailboxes: Readonly<Record<string, OutlookMailbox>>;

  constructor(world: World, mailboxes: Readonly<Record<string, OutlookMailbox>>) {
    this.world = world;
    this.mailboxes = mailboxes;
  }

  step(random: () => number): string {
    for (;;) {
      const scene = this.scene(random);
      const action = pick(actions, random) ?? create;
      const said = this.world.batch(() => action(scene) ?? this.inviteAcross(scene));
      if (said !== null) return said;
    }
  }

  private scene(random: () => number): Scene {
    const [name = '', mailbox] = pick(Object.entries(this.mailboxes), random) ?? [];
    if (!mailbox) throw new Error('The demo has no mailbox.');
    const calendar = mailbox.calendar();
    const nowMs = this.world.now().getTime();
    const upcoming = calendar.events().filter((item) => instancesOf(item, nowMs, nowMs + 120 * 86_400_000).length > 0);
    const own = upcoming.filter(({ fields }) => fields.isOrganizer && !fields.isCancelled);
    return {
      calendar,
      who: `${mailbox.state.name} (${name.charAt(0).toUpperCase()}${name.slice(1)})`,
      today: this.world.nowText().slice(0, 10),
      random,
      singles: own.filter(({ recurrence }) => recurrence === null),
      series: own.filter(({ recurrence }) => recurrence !== null),
      invitations: upcoming.filter(({ fields }) => !fields.isOrganizer && !fields.isCancelled),
    };
  }

  /** Needs several mailboxes, so it stands beside the other actions; done when one of those finds nothing to do. */
  private inviteAcross({ calendar, who, singles, random }: Scene): string | null {
    const others = Object.values(this.mailboxes).filter(({ state }) => state.id !== calendar.mailbox.id);
    const other = pick(others, random);
    const item = pick(
      singles.filter(({ fields }) => fields.attendees.length === 0),
      random,
    );
    if (!other || !item) return null;
    calendar.inviteTo(item, other.state);
    return `${who} invited ${other.state.upn} to ${named(item)}.`;
  }
}

const subjects = [
  'Coffee',
  'Call with the bank',
  'Code review',
  'Board preparation',
  'Vendor meeting',
  'Town hall',
  'Fire drill',
];

const create: Action = ({ calendar, who, today, random }) => {
  const date = plusDays(today, 1 + Math.floor(random() * 40));
  const subject = pick(subjects, random) ?? 'Meeting';
  const start = `${date}T${time(random)}`;
  calendar.createEvent({ subject, start });
  return `${who} created "${subject}" on ${date} at ${start.slice(11)}.`;
};

const createAllDay: Action = ({ calendar, who, today, random }) => {
  const date = plusDays(today, 1 + Math.floor(random() * 40));
  calendar.createEvent({ subject: 'Out of office', start: date, isAllDay: true, showAs: 'oof' });
  return `${who} is out of office all day on ${date}.`;
};

const createSeries: Action = ({ calendar, who, today, random }) => {
  const startDate = plusDays(today, 1 + Math.floor(random() * 7));
  const weekday = weekdays[weekdayOf(dayNumber(startDate))] ?? 'monday';
  const start = time(random);
  const range = { type: 'numbered', startDate, numberOfOccurrences: 8 } as const;
  calendar.createSeries({ subject: 'Project round', pattern: { type: 'weekly', daysOfWeek: [weekday] }, range, start });
  return `${who} created the series "Project round", eight times each ${weekday} at ${start} from ${startDate}.`;
};

const rename: Action = ({ calendar, who, singles, random }) => {
  const item = pick(singles, random);
  if (!item) return null;
  const before = named(item);
  const subject = `${(item.fields.subject ?? '').replace(/ \(v\d+\)$/, '')} (v${2 + Math.floor(random() * 98)})`;
  calendar.updateEvent(item, { subject });
  return `${who} renamed ${before} to "${subject}".`;
};

const move: Action = ({ calendar, who, singles, random }) => {
  const item = pick(
    singles.filter(({ timing }) => !timing.isAllDay),
    random,
  );
  if (!item) return null;
  const start = `${plusDays(item.timing.start, 1)}T${time(random)}`;
  calendar.updateEvent(item, { start });
  return `${who} moved ${named(item)} to ${start.replace('T', ' at ')}.`;
};

const remove: Action = ({ calendar, who, singles, random }) => {
  const item = pick(singles, random);
  // The calendars shall not run empty, however long the demo goes on.
  if (!item || singles.length < 10) return null;
  calendar.delete(item);
  return `${who} deleted ${named(item)}.`;
};

const cancelOccurrence: Action = (scene) => {
  const found = occurrence(scene);
  if (!found) return null;
  scene.calendar.cancelOccurrence(found.item, found.date);
  return `${scene.who} cancelled ${named(found.item)} of ${found.date}.`;
};

const changeOccurrence: Action = (scene) => {
  const found = occurrence(scene);
  if (!found || found.item.timing.isAllDay) return null;
  const start = `${found.date}T${time(scene.random)}`;
  scene.calendar.updateOccurrence(found.item, found.date, {
    subject: `${found.item.fields.subject ?? ''} (moved)`,
    start,
  });
  return `${scene.who} moved ${named(found.item)} of ${found.date} to ${start.slice(11)}.`;
};

const renameSeries: Action = ({ calendar, who, series, random }) => {
  const item = pick(series, random);
  if (!item) return null;
  const displayName = `Room ${1 + Math.floor(random() * 30)}`;
  calendar.updateSeries(item, { location: { displayName } });
  return `${who} put the series ${named(item)} into ${displayName}.`;
};

const rescheduleSeries: Action = ({ calendar, who, series, random }) => {
  const item = pick(
    series.filter(({ timing }) => !timing.isAllDay),
    random,
  );
  if (!item) return null;
  const start = time(random);
  calendar.reschedule(item, { start });
  return `${who} rescheduled the series ${named(item)} to ${start}.`;
};

const makePrivate: Action = ({ calendar, who, singles, random }) => {
  const item = pick(
    singles.filter(({ fields }) => fields.sensitivity === 'normal'),
    random,
  );
  if (!item) return null;
  calendar.updateEvent(item, { sensitivity: 'private' });
  return `${who} made ${named(item)} private.`;
};

const showTentative: Action = ({ calendar, who, singles, random }) => {
  const item = pick(singles, random);
  if (!item) return null;
  const showAs = item.fields.showAs === 'tentative' ? 'busy' : 'tentative';
  calendar.updateEvent(item, { showAs });
  return `${who} now shows ${named(item)} as ${showAs}.`;
};

const actions: readonly Action[] = [
  create,
  create,
  createAllDay,
  createSeries,
  rename,
  rename,
  move,
  move,
  remove,
  remove,
  cancelOccurrence,
  changeOccurrence,
  renameSeries,
  rescheduleSeries,
  makePrivate,
  showTentative,
  // Finds nothing by itself: an invitation across tenants follows.
  () => null,
];

/** An upcoming occurrence of one of the owner's series. */
function occurrence({ series, today, random }: Scene): { item: ItemState; date: string } | null {
  const item = pick(series, random);
  const fromMs = Date.parse(`${plusDays(today, 1)}T00:00:00Z`);
  const dates = item ? instancesOf(item, fromMs, fromMs + 60 * 86_400_000).flatMap(({ date }) => date ?? []) : [];
  const date = pick(dates, random);
  return item && date !== undefined && dates.length > 1 ? { item, date } : null;
}

function pick<T>(list: readonly T[], random: () => number): T | undefined {
  return list[Math.floor(random() * list.length)];
}

function time(random: () => number): string {
  return `${String(8 + Math.floor(random() * 9)).padStart(2, '0')}:${random() < 0.5 ? '00' : '30'}`;
}

function named({ fields }: ItemState): string {
  return `"${fields.subject ?? ''}"`;
}
