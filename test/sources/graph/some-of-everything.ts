import type { OutlookCalendar } from '../../support/graph/outlook.ts';
import type { Pattern } from '../../support/graph/patterns.ts';

export const weekly: Pattern = { type: 'weekly', daysOfWeek: ['tuesday'], interval: 1 };
export const endless = (startDate: string) => ({ type: 'noEnd', startDate }) as const;

/** A calendar with some of everything. */
export function someOfEverything(
  calendar: OutlookCalendar,
): Record<'standup' | 'monthly' | 'lunch' | 'holiday' | 'gym', { key: string }> {
  calendar.createEvent({ subject: 'Dentist', start: '2026-03-02T10:00', end: '2026-03-02T10:30' });
  const lunch = calendar.createEvent({ subject: 'Lunch', start: '2026-07-01T12:00' });
  const standup = calendar.createSeries({
    subject: 'Stand-up',
    pattern: weekly,
    range: endless('2025-11-04'),
    start: '09:00',
    end: '09:15',
  });
  calendar.cancelOccurrence(standup, '2026-05-12');
  calendar.updateOccurrence(standup, '2026-03-31', { start: '2026-04-01T08:00', subject: 'Stand-up, moved' });
  const monthly = calendar.createSeries({
    subject: 'Accounts',
    pattern: { type: 'absoluteMonthly', dayOfMonth: 30, interval: 1 },
    range: { type: 'numbered', startDate: '2026-01-30', numberOfOccurrences: 9 },
    start: '16:00',
  });
  const holiday = calendar.createSeries({
    subject: 'Cleaning day',
    pattern: { type: 'relativeMonthly', daysOfWeek: ['friday'], index: 'last', interval: 1 },
    range: { type: 'endDate', startDate: '2026-01-01', endDate: '2026-12-31' },
  });
  calendar.updateOccurrence(holiday, '2026-06-26', { subject: 'Cleaning, all of us' });
  calendar.cancelOccurrence(holiday, '2026-10-30');
  const gym = calendar.createSeries({
    subject: 'Gym',
    pattern: { type: 'daily', interval: 3 },
    range: endless('2026-03-01'),
    start: '23:00',
    end: '00:30',
    zone: 'Pacific Standard Time',
  });
  calendar.updateOccurrence(gym, '2026-03-07', { start: '2026-03-05T18:00', zone: 'Pacific Standard Time' });
  return { standup, monthly, lunch, holiday, gym };
}
