/** Events as the Office 365 Outlook connector gives them to flows: flat strings, times without zone, UTC. */
import { defaultFilters } from '../../../src/calendar/filters.ts';
import type { PowerAutomateSource } from '../../../src/config/model.ts';
import { hashKey } from '../../../src/shared/webhook-key.ts';

export type RawItem = Record<string, unknown>;

/** As `CalendarGetOnChangedItemsV3` gives it; `undefined` leaves a field out. */
export function aFlowItem(fields: RawItem = {}): RawItem {
  const item: RawItem = {
    ActionType: 'updated',
    IsAdded: false,
    IsUpdated: true,
    subject: 'Stand-up',
    start: '2026-12-01T09:00:00.0000000',
    end: '2026-12-01T09:30:00.0000000',
    startWithTimeZone: '2026-12-01T09:00:00+00:00',
    endWithTimeZone: '2026-12-01T09:30:00+00:00',
    timeZone: 'UTC',
    body: '<html><body><p>Bring coffee</p></body></html>',
    isHtml: true,
    responseType: 'organizer',
    responseTime: '0001-01-01T00:00:00+00:00',
    id: 'AAMkAGI1-1',
    createdDateTime: '2026-11-01T08:00:00.0000000+00:00',
    lastModifiedDateTime: '2026-11-01T08:00:00.0000000+00:00',
    organizer: 'me@contoso.example',
    iCalUId: uidOf(1),
    categories: [],
    webLink: 'https://outlook.office365.com/owa/?itemid=AAMkAGI1-1&exvsurl=1&path=/calendar/item',
    requiredAttendees: '',
    optionalAttendees: '',
    resourceAttendees: '',
    location: 'Room 4',
    importance: 'normal',
    isAllDay: false,
    recurrence: 'none',
    reminderMinutesBeforeStart: 15,
    isReminderOn: true,
    showAs: 'busy',
    responseRequested: true,
    sensitivity: 'normal',
    ...('start' in fields ? { startWithTimeZone: undefined, endWithTimeZone: undefined } : {}),
    ...fields,
  };
  return Object.fromEntries(Object.entries(item).filter(([, value]) => value !== undefined));
}

/** An Outlook id of its own for each number; with a date, as single occurrences carry it. */
export function uidOf(number: number, date: string | null = null): string {
  const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');
  const [year = 0, month = 0, day = 0] = (date ?? '').split('-').map(Number);
  const named = date === null ? '00000000' : `${hex(year, 4)}${hex(month, 2)}${hex(day, 2)}`;
  return `040000008200E00074C5B7101A82E008${named}${hex(number, 16)}000000000000000010000000${hex(number, 32)}`;
}

export const flowKey = 'a-key-of-a-flow-0123456789';

export const aFlowSource = (settings: Partial<PowerAutomateSource> = {}): PowerAutomateSource => ({
  id: 'old-flow',
  kind: 'powerautomate',
  mailbox: 'me@contoso.example',
  key: hashKey(flowKey),
  formerKey: null,
  signingKey: null,
  into: { target: 'me', calendar: 'work' },
  privacy: 'full',
  privateItems: 'full',
  titleTag: '',
  reminders: 'source',
  filters: defaultFilters,
  priority: 100,
  window: { pastDays: 90, futureDays: 730 },
  keepPast: true,
  everySeconds: 60,
  isPaused: false,
  ...settings,
});
