/** A calendar with something for each question that can be settled by looking, around spring 2026. */
import type { Window } from '../../../src/shared/window.ts';
import type { OutlookMailbox } from './people.ts';

export const tellingWindow: Window = { from: '2026-03-01T00:00:00Z', to: '2026-07-01T00:00:00Z' };

/** Every text has `word` in it. */
export function fillTelling(mailbox: OutlookMailbox, other: OutlookMailbox, word = 'plain'): void {
  const calendar = mailbox.calendar();
  const text = (what: string): string => `${what} ${word}`;
  const body = { contentType: 'html', content: `<p>${text('Agenda')}</p>` } as const;
  const location = { displayName: text('Room'), locationEmailAddress: `room-${word}@contoso.example` };
  const standup = calendar.createSeries({
    subject: text('Stand-up'),
    body,
    location,
    categories: [text('Category')],
    pattern: { type: 'weekly', daysOfWeek: ['tuesday'], interval: 1 },
    range: { type: 'noEnd', startDate: '2025-11-04' },
    start: '09:00',
    end: '09:15',
  });
  calendar.updateOccurrence(standup, '2026-03-31', { start: '2026-03-31T11:00' });
  calendar.cancelOccurrence(standup, '2026-05-12');
  const daily = calendar.createSeries({
    subject: text('Check'),
    pattern: { type: 'daily', interval: 2 },
    range: { type: 'numbered', startDate: '2026-04-01', numberOfOccurrences: 20 },
    start: '16:00',
  });
  for (const day of [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21])
    calendar.updateOccurrence(daily, `2026-04-${String(day).padStart(2, '0')}`, { showAs: 'free' });
  calendar.createSeries({
    subject: text('Lost zone'),
    pattern: { type: 'weekly', daysOfWeek: ['friday'], interval: 1 },
    range: { type: 'noEnd', startDate: '2026-03-06' },
    start: '10:00',
    zone: 'tzone://Microsoft/Custom',
    actualZone: 'Europe/Berlin',
  });
  calendar.createEvent({ subject: text('Holiday'), start: '2026-05-01', end: '2026-05-02' });
  calendar.createEvent({ subject: text('Doctor'), body, start: '2026-04-02T08:00', sensitivity: 'private' });
  for (let day = 10; day < 24; day += 1)
    calendar.createEvent({ subject: text('Lunch'), body, start: `2026-06-${day}T12:${day}`, transactionId: word });
  const theirs = other.calendar();
  const attendees = [
    { name: text('Me'), address: mailbox.state.upn, type: 'required', response: 'none' },
    { name: text('Guest'), address: `guest-${word}@elsewhere.example`, type: 'optional', response: 'none' },
  ] as const;
  const meeting = theirs.createEvent({
    subject: text('Review'),
    body,
    start: '2026-04-15T13:00',
    joinUrl: `https://teams.microsoft.com/l/meetup-join/${word}`,
    attendees: [...attendees],
  });
  theirs.inviteTo(meeting, mailbox.state);
  const board = theirs.createSeries({
    subject: text('Board'),
    pattern: { type: 'weekly', daysOfWeek: ['monday'], interval: 1 },
    range: { type: 'noEnd', startDate: '2026-01-05' },
    start: '15:00',
    attendees: [...attendees],
  });
  theirs.inviteTo(board, mailbox.state, { date: '2026-04-20' });
  mailbox.openShared(theirs);
}
