/**
 * The demo's people: Contoso and Fabrikam in the global cloud, the Agency in GCC High, with calendars around today.
 * Everything derives from the seed and the simulator's clock.
 */
import { DemoSteps } from './demo-steps.ts';
import type { OutlookCalendar } from './outlook.ts';
import { plusDays, weekdayOf, dayNumber, type Weekday } from './patterns.ts';
import { directoryOf, type OutlookMailbox, type TenantOptions } from './people.ts';
import type { GraphSimulator } from './simulator.ts';
import { seededRandom } from './switches.ts';

export interface DemoWorld {
  /** How each tenant is reached: what the product's configuration needs. */
  readonly tenants: readonly (TenantOptions & { readonly cloud: string; readonly secret: string })[];
  readonly mailboxes: {
    readonly contoso: OutlookMailbox;
    readonly fabrikam: OutlookMailbox;
    readonly agency: OutlookMailbox;
  };
  /** The default calendars, in the order of the tenants. */
  readonly calendars: readonly OutlookCalendar[];
  /** Does one thing that an Outlook user does, and says it in a sentence. */
  step(random?: () => number): string;
}

const demoTenants = [
  {
    cloud: 'global',
    directory: directoryOf('contoso.example'),
    domain: 'contoso.example',
    name: 'Contoso',
    client: '1d2e0000-0000-4000-8000-000000000001',
    secret: 'demo-secret-contoso',
  },
  {
    cloud: 'global',
    directory: directoryOf('fabrikam.example'),
    domain: 'fabrikam.example',
    name: 'Fabrikam',
    client: '1d2e0000-0000-4000-8000-000000000002',
    secret: 'demo-secret-fabrikam',
  },
  {
    cloud: 'gcch',
    directory: directoryOf('agency.example'),
    domain: 'agency.example',
    name: 'Agency',
    client: '77aa0000-0000-4000-8000-000000000003',
    secret: 'demo-secret-agency',
    // Scoped: Exchange names the mailbox, Entra grants nothing.
    consent: false,
    allowedMailboxes: ['kim@agency.example'],
  },
] as const;

/** How the demo's people want their calendars shown, in the order of the tenants. The agency's forbids more than times. */
export const demoSources = [
  { source: 'contoso', privacy: 'full', privateItems: 'full', titleTag: '' },
  { source: 'fabrikam', privacy: 'full', privateItems: 'busy', titleTag: '' },
  { source: 'agency', privacy: 'busy', privateItems: 'busy', titleTag: '[A] ' },
] as const;

const people = { contoso: 'kim@contoso.example', fabrikam: 'kim@fabrikam.example', agency: 'kim@agency.example' };

/** Builds the world, or finds it again in a restored simulator. */
export function demoWorld(simulator: GraphSimulator, seed = 20_260): DemoWorld {
  const random = seededRandom(seed);
  const isRestored = simulator.world.tenant('contoso.example') !== undefined;
  if (!isRestored) simulator.world.batch(() => build(simulator, random));
  const mailboxes = {
    contoso: simulator.mailbox(people.contoso),
    fabrikam: simulator.mailbox(people.fabrikam),
    agency: simulator.mailbox(people.agency),
  };
  const calendars = Object.values(mailboxes).map((mailbox) => mailbox.calendar());
  const steps = new DemoSteps(simulator.world, mailboxes);
  return { tenants: demoTenants, mailboxes, calendars, step: (chosen = random) => steps.step(chosen) };
}

function build(simulator: GraphSimulator, random: () => number): void {
  const [contoso, fabrikam, agency] = demoTenants.map((tenant) => simulator.addTenant(tenant));
  if (!contoso || !fabrikam || !agency) throw new Error('The demo has three tenants.');
  const kim = contoso.addMailbox({ upn: people.contoso, name: 'Kim Berg', zone: 'W. Europe Standard Time' });
  const kimFabrikam = fabrikam.addMailbox({ upn: people.fabrikam, name: 'Kim Berg', zone: 'Eastern Standard Time' });
  const kimAgency = agency.addMailbox({ upn: people.agency, name: 'Berg, Kim', zone: 'Eastern Standard Time' });
  contoso.addMailbox({ upn: 'lee@contoso.example', name: 'Lee Ortiz', zone: 'W. Europe Standard Time' });
  const today = simulator.world.nowText().slice(0, 10);
  buildContoso(kim.calendar(), today);
  buildFabrikam(kimFabrikam.calendar(), today);
  buildAgency(kimAgency.calendar(), today);
  for (const mailbox of [kim, kimFabrikam, kimAgency]) scatterSingles(mailbox.calendar(), today, random);
  buildShared(kim, kimFabrikam, kimAgency, today);
}

/** The first date from `from` on that falls on a weekday. */
function next(weekday: number, from: string): string {
  return plusDays(from, (weekday - weekdayOf(dayNumber(from)) + 7) % 7);
}

function endless(startDate: string): { type: 'noEnd'; startDate: string } {
  return { type: 'noEnd', startDate };
}

function buildContoso(calendar: OutlookCalendar, today: string): void {
  const quarterAgo = plusDays(today, -91);
  const workdays: Weekday[] = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday'];
  const monday = next(1, quarterAgo);
  const standUp = calendar.createSeries({
    subject: 'Stand-up',
    pattern: { type: 'weekly', daysOfWeek: workdays, firstDayOfWeek: 'monday' },
    range: endless(monday),
    start: '09:15',
    end: '09:30',
    joinUrl: 'https://teams.microsoft.com/l/meetup-join/19%3ameeting_standup%40thread.v2/0',
  });
  const coming = next(1, plusDays(today, 1));
  calendar.cancelOccurrence(standUp, plusDays(coming, 1));
  calendar.updateOccurrence(standUp, plusDays(coming, 2), {
    subject: 'Stand-up with the board',
    start: `${plusDays(coming, 2)}T10:00`,
  });
  calendar.createSeries({
    subject: 'Month-end closing',
    pattern: { type: 'absoluteMonthly', dayOfMonth: 31 },
    range: endless(`${quarterAgo.slice(0, 7)}-01`),
    start: '16:00',
    end: '17:00',
    location: { displayName: 'Finance, 2nd floor' },
  });
  calendar.createSeries({
    subject: 'Overnight backup check',
    // 01:30 in Berlin is an instant that moves by an hour in spring and autumn, and never ambiguous.
    pattern: { type: 'weekly', daysOfWeek: ['sunday'] },
    range: endless(next(0, quarterAgo)),
    start: '01:30',
    end: '01:50',
    showAs: 'free',
  });
  const retrospective = calendar.createSeries({
    subject: 'Retrospective',
    pattern: { type: 'weekly', interval: 2, daysOfWeek: ['friday'], firstDayOfWeek: 'monday' },
    range: { type: 'numbered', startDate: next(5, quarterAgo), numberOfOccurrences: 20 },
    start: '14:00',
    end: '15:30',
    categories: ['Team'],
  });
  calendar.updateOccurrence(retrospective, plusDays(next(5, quarterAgo), 14 * 8), {
    location: { displayName: 'Riverside café' },
  });
  calendar.createSeries({
    subject: 'Last working day lunch',
    pattern: { type: 'relativeMonthly', daysOfWeek: workdays, index: 'last' },
    range: endless(quarterAgo),
    start: '12:00',
    end: '13:30',
  });
  calendar.createSeries({
    subject: 'Founding day',
    pattern: { type: 'absoluteYearly', month: 5, dayOfMonth: 4 },
    range: endless('2019-05-04'),
    isAllDay: true,
    showAs: 'free',
  });
  calendar.createEvent({
    subject: 'Dentist',
    start: `${plusDays(today, 4)}T08:00`,
    sensitivity: 'private',
    showAs: 'oof',
  });
  calendar.createEvent({
    subject: 'Holiday',
    start: plusDays(next(1, plusDays(today, 20)), 0),
    end: plusDays(next(1, plusDays(today, 20)), 5),
    isAllDay: true,
    showAs: 'oof',
  });
}

function buildFabrikam(calendar: OutlookCalendar, today: string): void {
  const quarterAgo = plusDays(today, -91);
  const calls = calendar.createSeries({
    subject: 'Supplier call',
    pattern: { type: 'weekly', daysOfWeek: ['tuesday', 'thursday'] },
    range: { type: 'endDate', startDate: next(2, quarterAgo), endDate: plusDays(today, 180) },
    start: '11:00',
    end: '11:45',
    zone: 'Pacific Standard Time',
  });
  calendar.cancelOccurrence(calls, next(4, plusDays(today, 3)));
  calendar.createSeries({
    subject: 'Evening shift review',
    // Friday evening in New York is Saturday in UTC.
    pattern: { type: 'weekly', daysOfWeek: ['friday'] },
    range: endless(next(5, quarterAgo)),
    start: '21:00',
    end: '21:30',
  });
  calendar.createSeries({
    subject: 'Plant tour',
    pattern: { type: 'relativeMonthly', interval: 2, daysOfWeek: ['tuesday'], index: 'second' },
    range: endless(quarterAgo),
    start: '15:00',
    end: '17:00',
    zone: 'India Standard Time',
    location: { displayName: 'Pune works', coordinates: { latitude: 18.52, longitude: 73.86 } },
  });
  calendar.createSeries({
    subject: 'Invoices',
    pattern: { type: 'absoluteMonthly', dayOfMonth: 30 },
    range: endless(`${quarterAgo.slice(0, 7)}-01`),
    isAllDay: true,
    showAs: 'free',
  });
  calendar.createEvent({ subject: 'Salary talk', start: `${plusDays(today, 6)}T10:00`, sensitivity: 'confidential' });
}

function buildAgency(calendar: OutlookCalendar, today: string): void {
  const quarterAgo = plusDays(today, -91);
  const duty = calendar.createSeries({
    subject: 'Duty officer',
    pattern: { type: 'daily', interval: 3 },
    range: endless(quarterAgo),
    start: '08:00',
    end: '08:30',
  });
  calendar.updateOccurrence(duty, plusDays(quarterAgo, 99), {
    subject: 'Duty officer (relief)',
    start: `${plusDays(quarterAgo, 99)}T13:00`,
  });
  calendar.createSeries({
    subject: 'Range booking',
    pattern: { type: 'relativeYearly', month: 11, daysOfWeek: ['thursday', 'friday'], index: 'second' },
    range: endless('2024-11-01'),
    start: '09:00',
    end: '16:00',
  });
  calendar.createEvent({
    subject: 'Clearance interview',
    start: `${plusDays(today, 9)}T13:00`,
    sensitivity: 'private',
  });
}

const singleSubjects =
  'Budget review|Interview|Design workshop|Customer visit|Planning|One to one|Contract talk|Site inspection|Training|Demo|Release meeting|Risk review|Lunch with the team|Press call|Security briefing'.split(
    '|',
  );
const rooms = ['Room 1', 'Room 4 West', 'Auditorium', 'Lab', 'Phone'];

/** Some thirty plain appointments per calendar, a few of them all-day. */
function scatterSingles(calendar: OutlookCalendar, today: string, random: () => number): void {
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(random() * list.length)];
  for (let count = 0; count < 32; count += 1) {
    const date = plusDays(today, Math.floor(random() * 120) - 30);
    const subject = pick(singleSubjects) ?? 'Meeting';
    if (random() < 0.12) {
      calendar.createEvent({ subject: `${subject} day`, start: date, isAllDay: true, showAs: 'free' });
      continue;
    }
    const hour = String(8 + Math.floor(random() * 9)).padStart(2, '0');
    const start = `${date}T${hour}:${random() < 0.5 ? '00' : '30'}`;
    const room = pick(rooms) ?? 'Lab';
    calendar.createEvent({
      subject,
      start,
      location: { displayName: room },
      showAs: random() < 0.2 ? 'tentative' : 'busy',
    });
  }
}

/** Meetings that Kim has in several tenants: the same iCalUId in each. */
function buildShared(contoso: OutlookMailbox, fabrikam: OutlookMailbox, agency: OutlookMailbox, today: string): void {
  const calendar = contoso.calendar();
  const steering = calendar.createSeries({
    subject: 'Joint steering group',
    pattern: { type: 'weekly', daysOfWeek: ['wednesday'], interval: 2 },
    range: endless(next(3, plusDays(today, -56))),
    start: '15:00',
    end: '16:00',
    joinUrl: 'https://teams.microsoft.com/l/meetup-join/19%3ameeting_steering%40thread.v2/0',
  });
  calendar.inviteTo(steering, fabrikam.state, { response: 'accepted' });
  // The agency is asked to one date only.
  const date = plusDays(next(3, plusDays(today, -56)), 14 * 6);
  calendar.inviteTo(steering, agency.state, { date, response: 'tentativelyAccepted' });
  const launch = calendar.createEvent({
    subject: 'Launch review',
    start: `${plusDays(today, 8)}T16:00`,
    importance: 'high',
  });
  calendar.inviteTo(launch, fabrikam.state);
  calendar.inviteTo(launch, agency.state, { response: 'accepted' });
  const audit = fabrikam
    .calendar()
    .createEvent({ subject: 'Audit', start: `${plusDays(today, 12)}T09:00`, sensitivity: 'confidential' });
  fabrikam.calendar().inviteTo(audit, contoso.state, { response: 'accepted' });
}
