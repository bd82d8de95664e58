import { SyncError, toSyncError } from '../../../shared/errors.ts';
import type { Window } from '../../../shared/window.ts';
import type { Page, SelfCheck, Stale } from '../../source.ts';
import { calendarPath, isCode, isOwn, listCalendars, openSession, pathSegment, resolveCalendar } from '../calendars.ts';
import type { GraphClient, GraphRequest } from '../client.ts';
import { graphSource, type GraphCalendarSource } from '../graph-source.ts';
import { readCollection, readEvent, SEQUENCE_PROPERTY, type WireCalendar, type WireEvent } from '../wire.ts';
import type { Purpose, Recorder } from './exchange.ts';
import { eventIdOf } from './seen.ts';
import { oddPageSize, oddZone } from './questions-service.ts';

/** A calendar to look at, as a source names it. */
export interface Place {
  readonly mailbox: string;
  readonly calendar: string;
}

export interface GatherOptions {
  readonly recorder: Recorder;
  /** Reaches Graph by the recorder's `fetch`. */
  readonly client: (mailbox: string) => Promise<GraphClient>;
  readonly places: readonly Place[];
  readonly window: Window;
  readonly signal: AbortSignal;
  /** Told what is being done, without a word of anybody's. */
  readonly onStep: (sentence: string) => void;
  readonly wait: (ms: number) => Promise<void>;
  readonly now: () => number;
}

/** What a reading of the chosen series came to. */
export interface Gathered {
  readonly checks: Readonly<Record<SelfCheck['mode'], number>>;
  readonly unmappable: number;
  readonly rows: number;
  readonly copies: number;
}

const mostPages = 30;
const mostViewPages = 5;
const mostSeries = 12;
const mostOthers = 6;
const mostWaits = 3;
const longestWaitMs = 60_000;
const usualWaitMs = 5_000;
/** A refusal is an answer where something is tried that may not be there. */
const answers = [
  'graph.request_refused',
  'graph.item_not_found',
  'graph.not_found_unexplained',
  'graph.id_refused',
  'graph.sync_state_lost',
];

/**
 * Looks at calendars as a reading does, and asks besides what no reading asks. GETs only. Throws SyncError when Graph
 * refuses or fails where a reading would fail as well: then nothing is known.
 */
export async function gather(options: GatherOptions): Promise<Gathered> {
  const checks = { rule: 0, zone: 0, shifted: 0, list: 0 };
  let [unmappable, rows, copies] = [0, 0, 0];
  const looked = new Set<string>();
  let hasTriedParts = false;
  for (const [index, place] of options.places.entries()) {
    const name = `calendar ${index + 1} of ${options.places.length}`;
    const look = new Look(options, place, await options.client(place.mailbox));
    if (!looked.has(place.mailbox.toLowerCase())) {
      looked.add(place.mailbox.toLowerCase());
      options.onStep(`mailbox ${looked.size}: what it has, and what we may ask of it`);
      await look.mailbox();
    }
    options.onStep(`${name}: reading it as a reading does`);
    const read = await look.read();
    rows += read.rows.length;
    copies += isOwn(read.calendar, place.mailbox) ? 0 : 1;
    options.onStep(`${name}: ${read.rows.length} rows; series and what stands alone, by their ids`);
    for (const result of await look.rebuild(read)) {
      if (result === 'unmappable') unmappable += 1;
      else if (result !== null) checks[result] += 1;
    }
    options.onStep(`${name}: the same asked otherwise: ids, zones, bodies, pages, links`);
    await look.otherwise(read);
    hasTriedParts = await look.parts(hasTriedParts);
  }
  return { checks, unmappable, rows, copies };
}

interface Read {
  readonly calendar: WireCalendar;
  readonly rows: readonly WireEvent[];
  readonly stale: readonly Stale[];
  /** The delta link. */
  readonly link: string | null;
}

class Look {
  private readonly options: GatherOptions;
  private readonly place: Place;
  private readonly client: GraphClient;
  private readonly source: GraphCalendarSource;

  constructor(options: GatherOptions, place: Place, client: GraphClient) {
    this.options = options;
    this.place = place;
    this.client = client;
    this.source = graphSource({ client, ...place });
  }

  /** The mailbox: its calendars, its id, its zone. The latter two need permissions of their own. */
  async mailbox(): Promise<void> {
    const { mailbox } = this.place;
    const user = `/users/${pathSegment(mailbox)}`;
    const session = openSession(this.client, mailbox, this.options.signal);
    await this.must('calendars', () => listCalendars(session));
    await this.may('user', () => this.ask({ path: user, query: { $select: 'id' } }), 'graph.access_denied');
    await this.may(
      'mailbox-zone',
      () => this.ask({ path: `${user}/mailboxSettings`, query: { $select: 'timeZone' } }),
      'graph.access_denied',
    );
  }

  async read(): Promise<Read> {
    const { mailbox, calendar: wanted } = this.place;
    const { window, signal, recorder } = this.options;
    const calendar = await this.must('calendars', () =>
      resolveCalendar(openSession(this.client, mailbox, signal), wanted),
    );
    await this.may('calendar', () => this.ask({ path: this.path(calendar), query: { $select: 'id' } }));
    const before = recorder.exchanges.length;
    const stale: Stale[] = [];
    let link: string | null = null;
    let [cursor, isLast]: [string | null, boolean] = [null, false];
    for (let pages = 0; pages < mostPages && !isLast; pages += 1) {
      const from: string | null = cursor;
      const page: Page = await this.must('reading', () => this.source.readPage(from, window, signal));
      stale.push(...page.stale);
      ({ cursor, isLast } = page);
      link = isLast ? cursor : null;
    }
    const rows = recorder.exchanges
      .slice(before)
      .filter(({ purpose, status, url }) => purpose === 'reading' && status === 200 && /\/delta/i.test(url))
      .flatMap(({ body }) => readCollection(body)?.items ?? [])
      .map(readEvent)
      .filter(({ isRemoved }) => !isRemoved);
    return { calendar, rows, stale, link };
  }

  /** Series of as many kinds as there are, and some of the rest, as a reading rebuilds them. */
  async rebuild({ calendar, stale, rows }: Read): Promise<(SelfCheck['mode'] | 'unmappable' | null)[]> {
    const { window, signal } = this.options;
    const keys = [...new Set(stale.filter(({ why }) => why === 'member').map(({ key }) => key))];
    const weigh = new Map(keys.map((key) => [key, interest(key, rows)]));
    const series = keys.toSorted((a, b) => (weigh.get(b) ?? 0) - (weigh.get(a) ?? 0)).slice(0, mostSeries);
    const others = [...new Set(stale.filter(({ why }) => why !== 'member').map(({ key }) => key))].slice(0, mostOthers);
    const results: (SelfCheck['mode'] | 'unmappable' | null)[] = [];
    for (const key of [...series, ...others]) {
      const result = await this.must('reading', () => this.source.rebuild(key, window, signal));
      if (result.kind === 'unmappable') results.push('unmappable');
      else if (result.kind === 'series') results.push(...result.claims.map(({ check }) => check?.mode ?? null));
    }
    // What an exception says of itself, asked for directly.
    const [exception] = rows.filter(({ type }) => type === 'exception');
    if (exception?.id != null) {
      const { id } = exception;
      await this.may('exception', () => this.ask({ path: `${this.path(calendar)}/events/${pathSegment(id)}` }));
    }
    return results;
  }

  /** The same as before, in forms that no reading asks for. */
  async otherwise({ calendar, rows, link }: Read): Promise<void> {
    const path = this.path(calendar);
    const { window } = this.options;
    const bounds = { startDateTime: window.from, endDateTime: window.to };
    const delta = `${path}/calendarView/delta`;
    const odd = { ids: 'ordinary', zone: oddZone, body: 'text' } as const;
    await this.may('small-page', () => this.ask({ path: delta, query: bounds }, { ...odd, pageSize: oddPageSize }));
    await this.may('delta-select', () => this.ask({ path: delta, query: { ...bounds, $select: 'id,subject' } }));
    const query = { ...bounds, $select: 'id,seriesMasterId,type,start,end,iCalUId,changeKey' };
    const view = { path: `${path}/calendarView`, query };
    await this.may('view', () => this.pages(view, { pageSize: 100 }));
    await this.may('view-ordinary', () => this.pages(view, { pageSize: 100, ids: 'ordinary' }));
    const single =
      rows.find(({ type }) => type === 'singleInstance') ?? rows.find(({ recurrence }) => recurrence !== null);
    if (single?.id != null) {
      const event = `${path}/events/${pathSegment(single.id)}`;
      await this.may('event-otherwise', () => this.ask({ path: event }, { zone: oddZone, body: 'text' }));
    }
    if (link === null) return;
    await this.must('next-round', () => this.ask({ link }));
    await this.may('same-link', () => this.ask({ link }));
    const strange = strangeLink(link);
    if (strange !== null) await this.may('strange-link', () => this.ask({ link: strange }), 'graph.server_error');
  }

  /** Each part by itself, of one master; without one, of any event. True: a master has told. */
  async parts(isDone: boolean): Promise<boolean> {
    if (isDone) return true;
    const { recorder } = this.options;
    const whole = recorder.exchanges.filter(({ status, url }) => status === 200 && eventIdOf(url) !== null);
    const master = whole.find(({ body }) => readEvent(body).recurrence !== null);
    const event = master ?? whole[0];
    if (event === undefined) return false;
    const path = new URL(event.url).pathname.replace(/^\/v1\.0/, '');
    const tries: [Purpose, Record<string, string>][] = [
      ['part-fields', { $select: 'id,subject' }],
      ['part-sequence', { $expand: `singleValueExtendedProperties($filter=id eq '${SEQUENCE_PROPERTY}')` }],
    ];
    const ofMasters: [Purpose, Record<string, string>][] = [
      ['part-occurrenceId', { $select: 'id,occurrenceId' }],
      [
        'part-seriesParts',
        { $select: 'id,cancelledOccurrences,exceptionOccurrences', $expand: 'exceptionOccurrences' },
      ],
    ];
    for (const [purpose, query] of [...tries, ...(master === undefined ? [] : ofMasters)])
      await this.may(purpose, () => this.ask({ path, query }));
    return master !== undefined;
  }

  private path(calendar: WireCalendar): string {
    return `/users/${pathSegment(this.place.mailbox)}${calendarPath(calendar)}`;
  }

  private ask(to: GraphRequest['to'], wishes?: GraphRequest['wishes']): Promise<unknown> {
    const { mailbox } = this.place;
    const { signal } = this.options;
    return this.client.get({ mailbox, to, signal, ...(wishes === undefined ? {} : { wishes }) });
  }

  /** Some pages of a list. */
  private async pages(first: GraphRequest['to'], wishes: GraphRequest['wishes']): Promise<void> {
    let to: GraphRequest['to'] | null = first;
    for (let pages = 0; to !== null && pages < mostViewPages; pages += 1) {
      const link: string | null = readCollection(await this.ask(to, wishes))?.nextLink ?? null;
      to = link === null ? null : { link };
    }
  }

  /** Whatever refuses this, refuses a reading. Waits where Graph asks for it, a few times. */
  private async must<T>(purpose: Purpose, work: () => Promise<T>): Promise<T> {
    for (let waits = 0; ; waits += 1) {
      try {
        return await this.options.recorder.during(purpose, work);
      } catch (thrown) {
        const ms = waits < mostWaits ? this.waitMs(thrown) : null;
        if (ms === null) throw thrown;
        this.options.onStep(`Graph asks for patience: waiting ${Math.ceil(ms / 1_000)} s`);
        await this.options.wait(ms);
      }
    }
  }

  private async may(purpose: Purpose, work: () => Promise<unknown>, ...codes: string[]): Promise<void> {
    try {
      await this.must(purpose, work);
    } catch (thrown) {
      if (!isCode(thrown, ...answers, ...codes)) throw thrown;
    }
  }

  /** Null: waiting does not help, or would take too long. */
  private waitMs(thrown: unknown): number | null {
    const error = toSyncError(thrown);
    if (!isCode(thrown, 'graph.throttled', 'graph.overloaded', 'graph.timeout')) return null;
    const until = error.recovery.kind === 'retry' ? error.recovery.notBefore : undefined;
    const ms = until === undefined ? usualWaitMs : Math.max(0, until.getTime() - this.options.now());
    return ms <= longestWaitMs ? ms : null;
  }
}

/** How much a series may tell that others may not. */
function interest(key: string, rows: readonly WireEvent[]): number {
  const own = rows.filter(({ id, seriesMasterId }) => id === key || seriesMasterId === key);
  const master = own.find(({ recurrence }) => recurrence !== null);
  const hasException = own.some(({ type }) => type === 'exception');
  return (hasException ? 4 : 0) + (master === undefined ? 2 : 0) + (master?.isAllDay === true ? 1 : 0);
}

/** The link with a token that Graph never gave; null where none is recognised. */
export function strangeLink(link: string): string | null {
  const [, head, token] = /^(.*[?&]\$?deltatoken=)([^&]+)/i.exec(link) ?? [];
  return head === undefined || token === undefined ? null : link.replace(token, `${token.slice(0, -1)}0`);
}

/** For a tenant that nothing is known to read of. */
export function nothingToProbe(tenantId: string): SyncError {
  return new SyncError(`No source reads a calendar of ${tenantId} yet.`, {
    code: 'config.nothing_to_probe',
    field: 'mailbox',
    recovery: { kind: 'operator', remedy: 'Name a mailbox that may be read: --mailbox <address>.' },
  });
}
