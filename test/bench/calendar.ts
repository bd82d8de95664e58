/**
 * Rates of the calendar room: `node --expose-gc test/bench/calendar.ts`. One process, no I/O. Seconds are the process'
 * own time on a processor, whatever else the machine does meanwhile.
 */
import { contentFingerprint } from '../../src/calendar/client-state.ts';
import { expandSeries } from '../../src/calendar/expand.ts';
import { parseCalendar } from '../../src/calendar/parse.ts';
import type { RenderOptions } from '../../src/calendar/render.ts';
import { renderSeries } from '../../src/calendar/render.ts';
import type { Series } from '../../src/calendar/series.ts';
import { anEntry, anOverride, aSeries, zoned } from '../calendar/builders.ts';

const options: RenderOptions = {
  uid: 'meeting@bench.calendar-sync',
  sequence: 0,
  titleTag: '',
  reminders: 'source',
  window: { from: '2026-01-01T00:00:00Z', to: '2028-03-01T00:00:00Z' },
  anchor: null,
};
const zones = ['Europe/Berlin', 'America/New_York', 'America/Los_Angeles', 'Asia/Tokyo', 'Australia/Sydney'];
const body = 'Agenda: one, two; three.\nhttps://teams.example/l/meetup-join/19%3ameeting\n'.repeat(12);

function single(index: number): Series {
  const day = String((index % 28) + 1).padStart(2, '0');
  const zone = zones[index % zones.length] ?? 'UTC';
  return aSeries({
    uid: `single-${index}`,
    main: anEntry({
      start: zoned(`2026-0${(index % 9) + 1}-${day}T09:00:00`, zone),
      end: zoned(`2026-0${(index % 9) + 1}-${day}T10:00:00`, zone),
      summary: `Meeting ${index} with “friends”, éà and 日本`,
      description: body,
      location: 'Room 4, Main Street 1',
      organizer: { address: 'boss@contoso.example', name: 'The Boss' },
      attendees: ['boss', 'ann', 'bob', 'cy'].map((name) => ({
        address: `${name}@contoso.example`,
        name,
        role: 'required',
        kind: 'individual',
        participation: 'accepted',
        rsvp: false,
      })),
      reminder: 15,
      lastModifiedAt: '2026-01-02T03:04:05Z',
    }),
  });
}

function weekly(index: number): Series {
  const base = single(index);
  const zone = zones[index % zones.length] ?? 'UTC';
  const at = (day: string): ReturnType<typeof zoned> => zoned(`2026-0${(index % 8) + 1}-${day}T09:00:00`, zone);
  return {
    ...base,
    main: { ...base.main, start: at('05'), end: zoned(`2026-0${(index % 8) + 1}-05T10:00:00`, zone) },
    recurrence: { rule: 'FREQ=DAILY;INTERVAL=2', clampedDay: null, extra: [] },
    excluded: [at('07'), at('09')],
    overrides: [anOverride(at('11'), { summary: 'Moved' }), anOverride(at('13'), { summary: 'Other' })],
  };
}

function rate(name: string, count: number, work: (index: number) => unknown): void {
  for (let index = 0; index < Math.min(count, 200); index += 1) work(index);
  const before = process.cpuUsage();
  let kept = 0;
  for (let index = 0; index < count; index += 1) if (work(index) !== null) kept += 1;
  const { user, system } = process.cpuUsage(before);
  console.log(`${name.padEnd(44)} ${(kept / ((user + system) / 1e6)).toFixed(kept > 100 ? 0 : 2).padStart(8)} /s`);
}

const singles = Array.from({ length: 5_000 }, (_, index) => single(index));
const series = Array.from({ length: 2_000 }, (_, index) => weekly(index));
const texts = singles.map((one) => renderSeries(one, options)[0]?.text ?? '');
const seriesTexts = series.map((one) => renderSeries(one, options)[0]?.text ?? '');
const feed = `BEGIN:VCALENDAR\r\n${texts.map((text) => text.slice(text.indexOf('BEGIN:VEVENT'), -15)).join('')}END:VCALENDAR\r\n`;

rate('render a single', 5_000, (index) => renderSeries(singles[index] ?? single(index), options));
rate('parse a single', 5_000, (index) => parseCalendar(texts[index] ?? ''));
rate('fingerprint of a server’s single', 5_000, (index) => contentFingerprint(texts[index] ?? ''));
rate('render a series with 2 overrides', 2_000, (index) => renderSeries(series[index] ?? weekly(index), options));
rate('parse a series with 2 overrides', 2_000, (index) => parseCalendar(seriesTexts[index] ?? ''));
rate('render and parse a series', 1_000, (index) => {
  const [object] = renderSeries(series[index] ?? weekly(index), options);
  return parseCalendar(object?.text ?? '');
});
rate('expand a series (395 instances)', 2_000, (index) => expandSeries(series[index] ?? weekly(index), options.window));
rate('parse a feed of 5,000 events', 2, () => parseCalendar(feed));

/** Memory in use after a collection (needs --expose-gc; without it the figure holds what waits to be collected). */
function heapMegabytes(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return Math.round(process.memoryUsage().heapUsed / 1e6);
}

const before = heapMegabytes();
for (let index = 0; index < 100_000; index += 1) {
  for (const { text } of renderSeries(index % 4 === 0 ? weekly(index) : single(index), options)) parseCalendar(text);
}
console.log(`${'memory over 100,000 rendered and read'.padEnd(44)} ${before} MB before, ${heapMegabytes()} MB after`);
