/** The 57 cases of the mapping that read (1 to 56 and 60), from Graph's JSON to the object on the server. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { expandSeries, expandText } from '../../../src/calendar/expand.ts';
import { parseCalendar } from '../../../src/calendar/parse.ts';
import { identityOf, mintUid } from '../../../src/consolidate/identity.ts';
import { singleSeries } from '../../../src/sources/graph/to-series.ts';
import { readEvent } from '../../../src/sources/graph/wire.ts';
import fc from 'fast-check';
import { anyWireSeries, mapWire } from './any-wire.ts';
import { goldenCases } from '../../calendar/golden.ts';
import { renderSeries } from '../../../src/calendar/render.ts';
import { startCalDavServer, type CalDavServer } from '../../support/caldav/server.ts';
import { mapCase, mappingCases, showsOf, storedText } from './mapping-cases.ts';
import { anEvent, owner, type Json } from './wire-builders.ts';

const cases = mappingCases();
const told = new Set(cases.flatMap((one) => one.cases));
/** A case that is no pair of files. */
function numbered(number: number, about: string, test: () => void | Promise<void>): void {
  told.add(number);
  it(`${number}: ${about}`, test);
}

const unfold = (text: string): string => text.replaceAll('\r\n ', '');
const everything = { from: '1990-01-01T00:00:00Z', to: '2100-01-01T00:00:00Z' };

describe('golden pairs of what Graph says and what the server gets', () => {
  it.each(cases.map((one) => [one.name, one] as const))('%s', (name, one) => {
    const mapped = mapCase(one);
    const objects = mapped.flatMap((each) => each.objects);
    const text = objects.map((object) => object.text).join('');

    expect(text).toBe(storedText(name, text));
    expect(text).toBe(
      mapCase(one)
        .flatMap((each) => each.objects)
        .map((object) => object.text)
        .join(''),
    );
    const lines = unfold(text);
    for (const part of one.says) expect(lines).toContain(part);
    for (const part of one.lacks) expect(lines).not.toContain(part);
    for (const [part, count] of Object.entries(one.counts ?? {})) expect(lines.split(part)).toHaveLength(count + 1);
    if (one.firstEventLacks !== undefined) expect(lines.split('END:VEVENT')[0]).not.toContain(one.firstEventLacks);
    for (const line of text.split('\r\n')) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(75);
    for (const [index, item] of one.items.entries()) {
      expect(mapped[index]?.mode ?? 'rule').toBe('rule');
      const shown = (mapped[index]?.objects ?? []).flatMap((object) => expandText(object.text, one.window));
      expect(shown.map(({ start, end }) => `${start}/${end}`).sort()).toEqual(showsOf(item).sort());
    }
    for (const object of objects) {
      expect(parseCalendar(object.text).problems).toEqual([]);
      expect(expandText(object.text, everything).length).toBeLessThanOrEqual(one.mostInstances ?? 20_000);
    }
  });

  numbered(54, 'renders the same bytes each time, which each pair above shows', () => {
    expect(cases.length).toBeGreaterThan(50);
  });

  it('are there for every case', () => {
    const wanted = [...Array.from({ length: 56 }, (_, index) => index + 1), 60];
    expect([...told].sort((a, b) => a - b)).toEqual(wanted);
  });
});

describe('the identity of what Graph says', () => {
  const uidOf = (fields: Json, source: string, target: string): string => {
    const mapped = singleSeries(readEvent(anEvent(fields)), owner);
    if (mapped.kind === 'unmappable') throw new Error(mapped.reason);
    const { uid, slot } = mapped.series;
    return mintUid(
      target,
      identityOf({ sourceId: source, key: String(fields['id']), uid, slot }, 'target', 'work').identity,
      'a1b2',
    );
  };
  const prefix = '040000008200E00074C5B7101A82E00800000000';

  numbered(55, 'does not come from the transactionId, which is copied with the event', () => {
    const copy = { transactionId: 'same' };
    const first = uidOf({ id: 'E1', iCalUId: `${prefix}01`, ...copy }, 'a', 'me');
    expect(uidOf({ id: 'E2', iCalUId: `${prefix}02`, ...copy }, 'a', 'me')).not.toBe(first);
  });

  numbered(56, 'is one for two mailboxes in one target and two in two targets', () => {
    const mine = { id: 'E1', iCalUId: `${prefix}01` };
    const yours = { id: 'E2', iCalUId: `${prefix}01` };
    expect(uidOf(yours, 'b', 'me')).toBe(uidOf(mine, 'a', 'me'));
    expect(uidOf(yours, 'b', 'you')).not.toBe(uidOf(mine, 'a', 'me'));
  });
});

describe('a server like Baikal', () => {
  let server: CalDavServer;
  const me = { name: 'me', password: 'secret', email: 'me@contoso.example' };
  // Or a real one, which keeps nothing of this.
  const realUrl = process.env['CALDAV_URL'] ?? null;
  const [username, password] =
    realUrl === null
      ? [me.name, me.password]
      : [process.env['CALDAV_USERNAME'] ?? '', process.env['CALDAV_PASSWORD'] ?? ''];
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  let collection = '';
  const ask = (method: string, name: string, body: string | null = null, headers: Record<string, string> = {}) =>
    fetch(`${collection}${name}`, { method, body, headers: { authorization, ...headers } });
  beforeAll(async () => {
    server = await startCalDavServer({ users: [me], auth: 'basic' });
    const name = realUrl === null ? 'default' : `pairs-${process.pid}`;
    collection = `${realUrl ?? server.url}calendars/${username}/${name}/`;
    if (realUrl !== null) expect((await ask('MKCALENDAR', '')).status).toBe(201);
  });
  afterAll(async () => {
    if (realUrl !== null) await ask('DELETE', '');
    await server.close();
  });

  const put = (name: string, body: string, headers: Record<string, string> = {}): Promise<Response> =>
    ask('PUT', `${name}.ics`, body, { 'content-type': 'text/calendar; charset=utf-8', ...headers });
  const objects = [
    ...cases.flatMap((one) => mapCase(one).flatMap((each) => each.objects)),
    ...goldenCases().flatMap(({ name, series, options }) =>
      renderSeries(series, { ...options, uid: `golden-${name}@a1b2.calendar-sync` }),
    ),
  ].map(({ text }, index) => ({ name: `pair-${index}`, text }));

  it('stores each of the pairs, in strict mode too, and gives it back unchanged', async () => {
    expect(objects.length).toBeGreaterThan(120);
    for (const { name, text } of objects) {
      const answer = await put(name, text, { 'schedule-reply': 'F', prefer: 'handling=strict' });
      expect([name, answer.status, answer.headers.has('etag')]).toEqual([name, 201, true]);
      expect(await (await ask('GET', `${name}.ics`)).text()).toBe(text);
    }
  }, 240_000);

  // Only a real one reckons for itself: each month, the objects that happen in it, and no error on any of them.
  (realUrl === null ? it.skip : it)(
    'finds each of them by the time in which it happens',
    async () => {
      for (let month = 0; month < 26; month += 1) {
        const [from, to] = [month, month + 1].map(
          (at) => `${new Date(Date.UTC(2026, at, 2, 12)).toISOString().slice(0, 19)}Z`,
        );
        const compact = (text = ''): string => text.replaceAll(/[-:]/g, '');
        const query = `<c:calendar-query xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"><d:prop><d:getetag/></d:prop>
        <c:filter><c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT">
        <c:time-range start="${compact(from)}" end="${compact(to)}"/></c:comp-filter></c:comp-filter></c:filter></c:calendar-query>`;
        const answer = await ask('REPORT', '', query, { depth: '1', 'content-type': 'application/xml' });
        expect(answer.status).toBe(207);
        const found = [...(await answer.text()).matchAll(/(pair-\d+)\.ics/g)].map(([, name]) => name).sort();
        // sabre takes no notice of BYMONTH in monthly rules: it finds a series on day 29 on 29 February too.
        const wanted = objects
          .filter(
            ({ text }) =>
              expandText(text, { from: from ?? '', to: to ?? '' }).length > 0 ||
              (from === '2028-02-02T12:00:00Z' && text.includes('RRULE:FREQ=MONTHLY;BYMONTH=')),
          )
          .map(({ name }) => name)
          .sort();
        expect([from, found]).toEqual([from, wanted]);
      }
    },
    240_000,
  );

  (realUrl === null ? it : it.skip)('60: mails nobody, although it would', async () => {
    const one = cases.find((each) => each.cases.includes(60));
    const text = one === undefined ? '' : (mapCase(one)[0]?.objects[0]?.text ?? '');
    server.forget();

    expect((await put('quiet', text.replace('UID:', 'UID:q'))).status).toBe(201);
    expect(server.mails).toEqual([]);
    const loud = unfold(text).replaceAll(';SCHEDULE-AGENT=CLIENT', '').replace('UID:', 'UID:l');
    expect((await put('loud', loud)).status).toBe(201);
    expect(server.mails).toMatchObject([{ method: 'REQUEST', to: 'mailto:bob@x.example' }]);
  });
});

describe('what a pair says beside its times', () => {
  it('agrees with the series that it was rendered from', () => {
    for (const one of cases) {
      for (const { series, objects } of mapCase(one)) {
        const own = expandSeries(series, one.window).map(({ start, end, entry }) => `${start} ${end} ${entry.summary}`);
        const read = objects
          .flatMap((object) => expandText(object.text, one.window))
          .map(({ start, end, entry }) => `${start} ${end} ${entry.summary}`);
        expect(read.sort()).toEqual(own.sort());
      }
    }
  });
});

describe('events of a Graph gone mad', () => {
  const window = { from: '2026-01-01T00:00:00Z', to: '2028-01-01T00:00:00Z' };
  const options = {
    uid: 'mad@a1b2.calendar-sync',
    sequence: 0,
    titleTag: '',
    reminders: 'source',
    window,
    anchor: null,
  };

  it('give a readable object or a reason, and never an error', () => {
    fc.assert(
      fc.property(anyWireSeries(), (wire) => {
        for (const series of mapWire(wire, window)) {
          for (const { text } of renderSeries(series, { ...options, reminders: 'source' })) {
            expect(text.isWellFormed()).toBe(true);
            expect(text.split('\r\n').every((line) => Buffer.byteLength(line) <= 75)).toBe(true);
            expect(text).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]|[^\r]\n/);
            expect(unfold(text)).not.toMatch(/^X-EVIL/m);
            const { resources, problems } = parseCalendar(text);
            expect(problems).toEqual([]);
            expect(resources).toHaveLength(1);
            // A rule without end counts as far as the window goes; the server meets the rest of it years later.
            const isEndless = /^RRULE:(?!.*(?:UNTIL|COUNT)=)/m.test(unfold(text));
            expect(expandText(text, isEndless ? window : everything).length).toBeLessThanOrEqual(3_400);
          }
        }
      }),
      { numRuns: 400 },
    );
  });
});
