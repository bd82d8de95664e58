/**
 * Random histories of one person with mailboxes in three tenants: what people do in Outlook, what the operator changes,
 * what goes wrong between any two requests, all from one seed. At the end, with faults gone and time allowed, the target
 * must show what the model says.
 */
import { sql } from 'kysely';
import { restoreFromTrash } from '../../src/deliver/restore-trash.ts';
import { approveDeletions } from '../../src/store/deletions.ts';
import { setPin } from '../../src/store/pins.ts';
import type { Fault as DavFault } from './caldav/faults.ts';
import type { Fault, How } from './graph/faults.ts';
import { instancesOf } from './graph/instances.ts';
import type { OutlookCalendar } from './graph/outlook.ts';
import { plusDays, type Range } from './graph/patterns.ts';
import type { ItemState } from './graph/state.ts';
import { seededRandom } from './graph/switches.ts';
import { compareMerged, pinName, type Configured, type ConfiguredSource, type Difference } from './merging-truth.ts';
import { day } from './one-calendar.ts';
import { severalTenants, type SeveralTenants, type Shown } from './several-tenants.ts';

export interface MergingOutcome {
  readonly difference: Difference;
  /** What the target shows: calendars and bodies. */
  readonly shown: readonly Shown[];
  /** What held at no time may: a UID twice, a SEQUENCE that fell, objects that the books do not know. */
  readonly faults: readonly string[];
  readonly story: readonly string[];
}

export interface MergingOptions {
  readonly steps: number;
  /** Nothing goes wrong, and the sources are read in this order. */
  readonly calmOrder?: readonly string[];
}

const names = ['contoso', 'fabrikam', 'tailspin'] as const;
type Name = (typeof names)[number];

interface Settings extends Omit<ConfiguredSource, 'id' | 'items'> {
  readonly id: Name;
}

export async function mergingHistory(seed: number, options: MergingOptions): Promise<MergingOutcome> {
  const world = await severalTenants(names);
  try {
    return await new MergingHistory(world, seed, options).run();
  } finally {
    await world.close();
  }
}

class MergingHistory {
  private readonly world: SeveralTenants;
  private readonly random: () => number;
  private readonly options: MergingOptions;
  private readonly story: string[] = [];
  private readonly broken: Fault[] = [];
  private readonly brokenDav: DavFault[] = [];
  private readonly waiting: (() => void)[] = [];
  private readonly found = new Set<string>();
  private readonly sequences = new Map<string, number>();
  private sources: Settings[] = [];
  private dedupe: Configured['dedupe'] = 'target';
  private strategy: Configured['strategy'] = 'last-write-wins';
  private count = 0;
  /** Pins that nothing has given another meaning since: by meeting, the source and one of its copies. */
  private readonly pins = new Map<string, { readonly source: Name; readonly key: string }>();

  constructor(world: SeveralTenants, seed: number, options: MergingOptions) {
    this.world = world;
    this.random = seededRandom(seed);
    this.options = options;
  }

  async run(): Promise<MergingOutcome> {
    this.sources = names.map((id) => ({
      id,
      calendar: 'work',
      privacy: 'full',
      titleTag: '',
      priority: 100,
      hidesTitle: null,
      hidesTentative: false,
    }));
    this.world.stage.simulator.switches.orphans = this.pick(['singleInstance', 'exception']);
    this.world.stage.simulator.switches.afterOccurrenceChange = this.pick(['exception-only', 'whole-series']);
    this.world.stage.simulator.switches.seriesDeleted = this.pick(['master', 'occurrences', 'both']);
    await this.configure('the operator began');
    for (let step = 0; step < 10; step += 1) this.live();
    for (const name of names) for (const item of this.world.calendar(name).events()) this.shareAtOnce(name, item);
    for (let step = 0; step < this.options.steps; step += 1) {
      if (this.chance(0.7)) this.live();
      const isOperating = this.chance(0.12);
      if (isOperating) await this.operate();
      const isDisturbed = this.chance(0.2);
      if (isDisturbed && this.options.calmOrder === undefined) this.disturb();
      if (this.chance(0.3)) await this.work();
      if (this.chance(0.06)) await this.pinOne();
      if (this.chance(0.06)) await this.restoreOne();
    }
    await this.comeToRest();
    const window = { from: `${day(-80)}T00:00:00Z`, to: `${day(300)}T00:00:00Z` };
    const sources = this.sources.map((source) => ({ ...source, items: this.world.calendar(source.id).events() }));
    const rules: Configured = { dedupe: this.dedupe, strategy: this.strategy, sources };
    const configured: Configured = { ...rules, pins: await this.standingPins(rules) };
    const all = this.world.shown();
    const shown = await this.withoutRestored(all);
    await this.pinSome(configured, window);
    await this.restoreSome(configured, window);
    await this.audit();
    const difference = compareMerged(configured, shown, window);
    return { difference, shown: all, faults: [...this.found], story: this.story };
  }

  /** Something that a person does in Outlook. */
  private live(): void {
    const name = this.pick(names);
    const calendar = this.world.calendar(name);
    const all = calendar.events();
    const item = all.length === 0 ? undefined : this.pick(all);
    if (item === undefined || all.length < 4) this.create(calendar);
    else if (!item.fields.isOrganizer) this.treatCopy(name, calendar, item);
    else this.treatOwn(name, calendar, item);
  }

  private create(calendar: OutlookCalendar): void {
    this.count += 1;
    const start = day(2 + Math.floor(this.random() * 40));
    const subject = `${this.pick(['Coffee', 'Review', 'Board'])} ${this.count}`;
    const length = this.chance(0.5);
    if (length) {
      const range: Range = this.pick<Range>([
        { type: 'numbered', startDate: start, numberOfOccurrences: 3 + Math.floor(this.random() * 8) },
        { type: 'noEnd', startDate: start },
      ]);
      const isAllDay = this.chance(0.3);
      calendar.createSeries({
        subject,
        pattern: this.chance(0.5)
          ? { type: 'daily', interval: this.pick([1, 2]) }
          : { type: 'weekly', daysOfWeek: ['tuesday'] },
        range,
        ...(isAllDay ? {} : { start: this.time() }),
      });
    } else calendar.createEvent({ subject, start: this.chance(0.2) ? start : `${start}T${this.time()}` });
    this.tell(`${calendar.mailbox.upn} created ${subject} from ${start}`);
  }

  private treatOwn(name: Name, calendar: OutlookCalendar, item: ItemState): void {
    const guests = names.filter((other) => other !== name && !this.isInvited(item, other));
    const guest = guests.length === 0 ? null : this.pick(guests);
    const date = item.recurrence === null ? null : this.occurrence(item);
    this.act(calendar, item, {
      renamed: () => calendar.updateEvent(item, { subject: this.renamed(item) }),
      moved: () =>
        item.recurrence !== null
          ? calendar.reschedule(item, item.timing.isAllDay ? {} : { start: this.time() })
          : calendar.updateEvent(item, { start: this.newStart(item) }),
      'cancelled once': () => date !== null && calendar.cancelOccurrence(item, date),
      'changed once': () => date !== null && calendar.updateOccurrence(item, date, { subject: this.renamed(item) }),
      'moved once': () => {
        if (date === null) return;
        const to = plusDays(date, this.pick([0, 1]));
        calendar.updateOccurrence(item, date, { start: item.timing.isAllDay ? to : `${to}T${this.time()}` });
      },
      'shared with another': () =>
        guest !== null && calendar.inviteTo(item, this.world.mailbox(guest).state, this.answer()),
      'shared with another too': () =>
        guest !== null && calendar.inviteTo(item, this.world.mailbox(guest).state, this.answer()),
      'shared on one date': () =>
        guest !== null &&
        date !== null &&
        calendar.inviteTo(item, this.world.mailbox(guest).state, { date, ...this.answer() }),
      bumped: () => calendar.updateEvent(item, {}),
      deleted: () => this.chance(0.5) && calendar.delete(item),
    });
  }

  private treatCopy(name: Name, calendar: OutlookCalendar, item: ItemState): void {
    const date = item.recurrence === null ? null : this.occurrence(item);
    this.act(calendar, item, {
      'renamed in their copy': () => calendar.updateEvent(item, { subject: this.renamed(item) }),
      accepted: () => this.world.mailbox(name).accept(item),
      'tentatively accepted': () => this.world.mailbox(name).tentativelyAccept(item),
      declined: () => this.world.mailbox(name).decline(item, { keep: this.chance(0.5) }),
      'changed once in their copy': () =>
        date !== null && calendar.updateOccurrence(item, date, { subject: this.renamed(item) }),
      'deleted in their copy': () => calendar.delete(item),
      bumped: () => calendar.updateEvent(item, {}),
    });
  }

  private shareAtOnce(name: Name, item: ItemState): void {
    const date = this.chance(0.4) && item.recurrence !== null ? this.occurrence(item) : null;
    for (const guest of names)
      if (guest !== name && item.fields.isOrganizer && !this.isInvited(item, guest) && this.chance(0.6))
        this.world
          .calendar(name)
          .inviteTo(item, this.world.mailbox(guest).state, { ...this.answer(), ...(date === null ? {} : { date }) });
  }

  private act(calendar: OutlookCalendar, item: ItemState, acts: Readonly<Record<string, () => unknown>>): void {
    const [name, act] = this.pick(Object.entries(acts));
    this.tell(`${calendar.mailbox.upn}: ${String(item.fields.subject)} was ${name}`);
    this.world.stage.simulator.world.batch(act);
  }

  private isInvited(item: ItemState, other: Name): boolean {
    return this.world
      .calendar(other)
      .events()
      .some(({ iCalUId }) => iCalUId === item.iCalUId);
  }

  /** Something that the operator changes. */
  private async operate(): Promise<void> {
    const index = Math.floor(this.random() * this.sources.length);
    const source = this.sources[index];
    const gone = names.filter((name) => !this.sources.some(({ id }) => id === name));
    const change = this.pick([
      'privacy',
      'title',
      'tentative',
      'calendar',
      'tag',
      'priority',
      'dedupe',
      'strategy',
      'source',
    ] as const);
    const set = (settings: Partial<Settings>): void => {
      this.sources = this.sources.map((one, at) => (at === index ? { ...one, ...settings } : one));
    };
    switch (change) {
      case 'privacy':
        set({ privacy: this.pick(['full', 'full', 'title', 'busy']) });
        break;
      case 'title':
        set({ hidesTitle: this.pick([null, 'Coffee']) });
        break;
      case 'tentative':
        set({ hidesTentative: this.chance(0.5) });
        break;
      case 'calendar':
        set({ calendar: this.pick(['work', 'agency']) });
        break;
      case 'tag':
        set({ titleTag: this.pick(['', '[x] ']) });
        break;
      case 'priority':
        set({ priority: this.pick([1, 50, 100]) });
        break;
      case 'dedupe':
        this.dedupe = this.pick(['target', 'target', 'calendar', 'off']);
        break;
      case 'strategy':
        this.strategy = this.pick(['last-write-wins', 'priority']);
        break;
      case 'source':
        if (gone[0] !== undefined)
          this.sources = [...this.sources, { ...(source ?? this.someSettings()), id: gone[0] }];
        else this.sources = this.sources.filter((_, at) => at !== index);
        break;
    }
    // A meeting is another one then, or has lost the copy that was pinned.
    if (change === 'dedupe' || change === 'calendar' || change === 'source') this.pins.clear();
    await this.configure(`the operator changed ${change} (${source?.id ?? ''})`);
  }

  private someSettings(): Settings {
    const [first] = this.sources;
    if (first === undefined) throw new Error('There is no source.');
    return first;
  }

  private async configure(what: string): Promise<void> {
    await this.world.configure({
      targets: [
        {
          dedupe: this.dedupe,
          strategy: this.strategy,
          calendars: [
            { id: 'work', name: 'Work' },
            { id: 'agency', name: 'Agency' },
          ],
        },
      ],
      sources: this.sources.map(({ id, calendar, privacy, titleTag, priority, hidesTitle, hidesTentative }) => ({
        id,
        into: `me/${calendar}`,
        privacy,
        titleTag,
        priority,
        filters: {
          titles: hidesTitle === null ? [] : [`^${hidesTitle}`],
          tentative: hidesTentative ? 'hide' : 'show',
        },
      })),
    });
    const settings = this.sources.map(
      (one) =>
        `${one.id}>${one.calendar} ${one.privacy} ${one.titleTag}${one.priority} -${String(one.hidesTitle)} ${String(one.hidesTentative)}`,
    );
    this.tell(`${what}: ${this.dedupe}, ${this.strategy}; ${settings.join('; ')}`);
  }

  /** Something that goes wrong from now on. */
  private disturb(): void {
    const { simulator, caldav } = this.world.stage;
    const draw = this.random();
    const times = 1 + Math.floor(this.random() * 3);
    if (draw < 0.4) {
      const how = this.pick<How>([
        { status: 500 },
        { status: 503, retryAfter: '3' },
        { status: 403 },
        { status: 410 },
        { reset: 'after' },
        { truncated: true },
        { status: 404, code: 'MailboxNotEnabledForRESTAPI' },
      ]);
      const match = this.pick(['delta', '/events/', 'https://graph.', '/instances', 'https://login.']);
      this.broken.push(simulator.fail({ match, times, how }));
      this.tell(`the next ${times} requests for ${match} meet ${JSON.stringify(how)}`);
    } else if (draw < 0.7) {
      const how = this.pick([
        '500-stored',
        '500-not-stored',
        'reset-before',
        'reset-after',
        'html-200',
        'lose-etag',
      ] as const);
      const on = this.pick(['PUT', 'DELETE', '*']);
      this.brokenDav.push(caldav.fail({ on, times, how, at: 1 + Math.floor(this.random() * 3) }));
      this.tell(`${times} ${on} requests to the target meet ${how}`);
    } else if (draw < 0.8) {
      const name = this.pick(names);
      const tenant = simulator.tenant(`${name}.example`);
      tenant.configure({ consent: !tenant.state.consent });
      this.tell(`the consent of ${name} is ${tenant.state.consent ? 'given again' : 'withdrawn'}`);
    } else {
      const match = this.pick(['delta', '/events/', '/instances']);
      const undo = simulator.before(match, () => {
        this.tell(`just before a request for ${match}:`);
        this.live();
      });
      this.waiting.push(undo);
    }
  }

  private async work(): Promise<void> {
    const { stage } = this.world;
    const { worker } = stage.product;
    await this.allowTime();
    const isReadAll = this.chance(0.6);
    const one = this.pick(names);
    const isDelivered = this.chance(0.7);
    const order = this.options.calmOrder ?? names;
    const reads = isReadAll ? order : [one];
    this.tell(`${reads.join(', ')} read${isDelivered ? ', the target written' : ''}`);
    if (this.options.calmOrder === undefined && this.chance(0.15)) {
      stage.simulator.before('https://graph.', () => void worker.stop());
      for (const id of reads) await worker.run('ingest', id);
      await stage.restart();
      return;
    }
    for (const id of reads) await worker.run('ingest', id);
    if (isDelivered) await worker.run('deliver', 'me');
    this.watch();
  }

  private async allowTime(): Promise<void> {
    const { stage } = this.world;
    await stage.passTime();
    await sql`update intent set settle_at = clock_timestamp() - interval '1 second'`.execute(stage.product.store.db);
  }

  /** What must hold at any time. */
  private watch(): void {
    const seen = new Set<string>();
    for (const { uid, calendar, sequence, title } of this.world.shown()) {
      const place = `${calendar} ${uid}`;
      if (seen.has(place)) this.found.add(`${title} stands twice in ${calendar}`);
      seen.add(place);
      const before = this.sequences.get(uid) ?? 0;
      // A move between calendars may be under way: the old copy stands beside the new one.
      if (sequence < before && !seen.has(`${calendar === 'work' ? 'agency' : 'work'} ${uid}`) && this.isAlone(uid))
        this.found.add(`the SEQUENCE of ${title} fell from ${before} to ${sequence}`);
      this.sequences.set(uid, Math.max(before, sequence));
    }
  }

  private isAlone(uid: string): boolean {
    return this.world.shown().filter((one) => one.uid === uid).length === 1;
  }

  private async comeToRest(): Promise<void> {
    const { stage } = this.world;
    for (const fault of this.broken) fault.clear();
    for (const fault of this.brokenDav) fault.stop();
    // What still waited for its request would change calendars after they were read for the last time.
    for (const undo of this.waiting) undo();
    for (const name of names) stage.simulator.tenant(`${name}.example`).configure({ consent: true });
    // A new process: what a token endpoint's refusal made the old one wait for is real time.
    await stage.restart();
    this.tell('faults are over');
    for (let round = 0; round < 4; round += 1) {
      await this.allowTime();
      await stage.sync();
      await this.world.approve(...names);
      await stage.product.store.transaction((db) => approveDeletions(db, 'me'));
    }
    await this.allowTime();
    await stage.sync();
    this.watch();
  }

  /** Copies of meetings of which several may show. */
  private async pinnable(): Promise<readonly { readonly uid: string; readonly source: Name; readonly key: string }[]> {
    const found = await sql<{ uid: string; source: Name; key: string }>`
      select m.uid, c.source_id as source, c.key from meeting m join claim c on c.meeting_id = m.id
      where m.slot = '*' and c.series is not null and m.identity_uid is not null and not starts_with(m.identity, 'merged|')
        and exists (select from source s where s.id = c.source_id)
        and (select count(*) from claim o where o.meeting_id = m.id and o.series is not null
          and exists (select from source s where s.id = o.source_id)) > 1
      order by c.source_id, c.key`.execute(this.world.stage.product.store.db);
    return found.rows;
  }

  /** The operator pins a meeting to one of its copies, or lets go of a pin, while everything goes on. */
  private async pinOne(): Promise<void> {
    const { store } = this.world.stage.product;
    const [known] = this.pins;
    if (known !== undefined && this.chance(0.3)) {
      await store.transaction((db) => setPin(db, known[0], null, 'test'));
      this.pins.delete(known[0]);
      this.tell(`${known[0]} is pinned no more`);
      return;
    }
    const copies = await this.pinnable();
    if (copies.length === 0) return;
    const { uid, source, key } = this.pick(copies);
    await store.transaction((db) => setPin(db, uid, source, 'test'));
    this.pins.set(uid, { source, key });
    this.tell(`${uid} is pinned to ${source} (${key})`);
  }

  /** What is pinned now, for the model; and whether a pin was lost on the way. */
  private async standingPins(rules: Configured): Promise<Map<string, string>> {
    const { db } = this.world.stage.product.store;
    // A meeting whose copies are all left out has none of them, and its pin all the same.
    const found = await sql<{ uid: string; pinned: string; source: string | null; key: string | null }>`
      select m.uid, m.pinned_source_id as pinned, c.source_id as source, c.key
      from meeting m left join claim c on c.meeting_id = m.id
      where m.pinned_source_id is not null and m.slot = '*' order by m.id, c.source_id`.execute(db);
    const pins = new Map<string, string>();
    for (const { pinned, source, key } of found.rows) {
      const own = rules.sources.find(({ id }) => id === source);
      const item = own?.items.find((one) => one.key === key);
      if (own !== undefined && item !== undefined) pins.set(pinName(rules, own, item), pinned);
    }
    for (const [uid, { source, key }] of this.pins)
      if (
        rules.sources.some(({ id, items }) => id === source && items.some((item) => item.key === key)) &&
        !found.rows.some((row) => row.uid === uid && row.pinned === source)
      )
        this.found.add(`the pin of ${uid} to ${source} was lost`);
    return pins;
  }

  /** The operator takes a single event out of the trash while everything goes on; sources may bring it back or not. */
  private async restoreOne(): Promise<void> {
    const { store } = this.world.stage.product;
    const found = await sql<{ id: string }>`
      select max(t.id)::text as id from trash t join meeting m on m.id = t.meeting_id
        join target_calendar k on k.target_id = t.target_id and k.id = t.calendar_id
      where t.restored_at is null and m.slot = '*' and not starts_with(m.identity, 'merged|')
        and t.body !~ '(RRULE|RDATE|RECURRENCE-ID)'
        and not exists (select from trash o where o.meeting_id = m.id and o.body ~ '(RRULE|RDATE|RECURRENCE-ID)')
      group by m.id order by 1`.execute(store.db);
    if (found.rows.length === 0) return;
    const { id } = this.pick(found.rows);
    const { objects } = await restoreFromTrash(store, id, 'test');
    this.tell(`${objects} of trash entry ${id} were taken out of the trash`);
  }

  /** What shows but for what only the operator restored, which must show, and once. */
  private async withoutRestored(shown: readonly Shown[]): Promise<Shown[]> {
    const found = await sql<{ uid: string; isShown: boolean }>`
      select distinct m.uid, not exists (select from claim o join source s on s.id = o.source_id
        where o.meeting_id = m.id and o.series is not null) as "isShown"
      from meeting m join claim c on c.meeting_id = m.id
      where starts_with(c.source_id, 'operator:')`.execute(this.world.stage.product.store.db);
    const only = new Set(found.rows.filter(({ isShown }) => isShown).map(({ uid }) => uid));
    for (const uid of only)
      if (shown.filter((one) => one.uid === uid).length !== 1)
        this.found.add(`${uid} was restored and shows ${shown.filter((one) => one.uid === uid).length} times`);
    return shown.filter(({ uid }) => !only.has(uid));
  }

  /** The operator pins some meetings that have several copies, sees them so, and lets the rules decide again. */
  private async pinSome(configured: Configured, window: { from: string; to: string }): Promise<void> {
    const { store } = this.world.stage.product;
    const copies = await this.pinnable();
    const pins = new Map(configured.pins);
    const pinned: string[] = [];
    for (let round = 0; round < 3 && copies.length > 0; round += 1) {
      const { uid, source, key } = this.pick(copies);
      const own = configured.sources.find(({ id }) => id === source);
      const item = own?.items.find((one) => one.key === key);
      if (own === undefined || item === undefined || pinned.includes(uid)) continue;
      if (configured.pins?.has(pinName(configured, own, item)) === true) continue;
      await store.transaction((db) => setPin(db, uid, source, 'test'));
      pins.set(pinName(configured, own, item), source);
      pinned.push(uid);
    }
    if (pinned.length === 0) return;
    this.tell([...pins].map(([name, source]) => `${name} is pinned to ${source}`).join(', '));
    await this.world.stage.sync();
    this.note(
      'while pinned',
      compareMerged({ ...configured, pins }, await this.withoutRestored(this.world.shown()), window),
    );
    for (const uid of pinned) await store.transaction((db) => setPin(db, uid, null, 'test'));
    await this.world.stage.sync();
    this.note('after the pins', compareMerged(configured, await this.withoutRestored(this.world.shown()), window));
  }

  /** The operator puts some of what was deleted back: it shows beside all that the sources show, and changes none of it. */
  private async restoreSome(configured: Configured, window: { from: string; to: string }): Promise<void> {
    const { store } = this.world.stage.product;
    // A series that comes back covers single dates of itself: such meetings are left alone.
    const found = await sql<{ id: string; uid: string }>`
      select max(t.id)::text as id, m.uid from trash t join meeting m on m.id = t.meeting_id
        join target_calendar k on k.target_id = t.target_id and k.id = t.calendar_id
      where t.restored_at is null and m.shown_source_id is null and not starts_with(m.identity, 'merged|')
        and not exists (select from object o where o.meeting_id = m.id)
        and not exists (select from claim c where c.meeting_id = m.id)
        and not exists (select from meeting o where o.target_id = m.target_id and o.identity_uid = m.identity_uid and o.id <> m.id)
      group by m.id, m.uid order by 1`.execute(store.db);
    const some = found.rows.slice(0, 3);
    for (const { id } of some) await restoreFromTrash(store, id, 'test');
    if (some.length === 0) return;
    this.tell(`${some.length} were taken out of the trash`);
    await this.world.stage.sync();
    const shown = this.world.shown();
    for (const { uid } of some)
      if (!shown.some((one) => one.uid === uid)) this.found.add(`${uid} was restored and does not show`);
    const others = await this.withoutRestored(shown);
    const rest = others.filter((one) => !some.some(({ uid }) => one.uid === uid || one.uid.includes(uid)));
    this.note('beside what was restored', compareMerged(configured, rest, window));
  }

  private note(when: string, { missing, surplus }: Difference): void {
    for (const line of missing) this.found.add(`${when} missing: ${line}`);
    for (const line of surplus) this.found.add(`${when} too much: ${line}`);
  }

  /** The books against the server. */
  private async audit(): Promise<void> {
    const { db } = this.world.stage.product.store;
    const objects = await sql<{ uid: string; href: string }>`select uid, href from object`.execute(db);
    const known = new Set(objects.rows.map(({ href }) => href.split('/').slice(-2).join('/')));
    const there = this.world.shown().map(({ calendar, resource }) => `${calendar}/${resource}`);
    for (const place of there) if (!known.has(place)) this.found.add(`${place} is not in the books`);
    if (known.size !== there.length) this.found.add(`${known.size} objects in the books, ${there.length} there`);
    const rest = await sql<{ says: string }>`
      select concat('meeting ', identity, ' ', code, ' ', reason) as says from meeting where code is not null
        and exists (select from object o where o.meeting_id = meeting.id)
      union all select concat('stale ', source_id, ' ', code) from stale_series
      union all select concat('source ', id, ' failing: ', (select concat(code, ' ', message) from sync_history h
        where h.source_id = source.id and h.status = 'error' order by h.id desc limit 1)) from source where failures > 0
      union all select concat('claim without a meeting: ', source_id, ' ', series->'main'->>'summary') from claim
        where series is not null and meeting_id is null
      union all select concat('twin uid ', uid) from meeting group by target_id, uid having count(*) > 1`.execute(db);
    for (const { says } of rest.rows) this.found.add(says);
  }

  /** An original date of a series in the coming weeks, unless it is the only one left. */
  private occurrence(item: ItemState): string | null {
    const from = Date.parse(`${day(0)}T00:00:00Z`);
    const dates = instancesOf(item, from, from + 60 * 86_400_000).flatMap(({ date }) => date ?? []);
    return dates.length < 3 ? null : this.pick(dates);
  }

  private newStart(item: ItemState): string {
    const date = day(2 + Math.floor(this.random() * 40));
    return item.timing.isAllDay ? date : `${date}T${this.time()}`;
  }

  private renamed(item: ItemState): string {
    this.count += 1;
    return `${this.pick(['', 'Coffee '])}${(item.fields.subject ?? '').replace(/ v\d+$/, '').replace(/^(Coffee |Canceled: )*/, '')} v${this.count}`;
  }

  private answer(): { response: 'accepted' | 'notResponded' } {
    return { response: this.pick(['accepted', 'notResponded']) };
  }

  private time(): string {
    return `${String(6 + Math.floor(this.random() * 14)).padStart(2, '0')}:${this.pick(['00', '30'])}`;
  }

  private pick<T>(list: readonly T[]): T {
    const found = list[Math.floor(this.random() * list.length)];
    if (found === undefined) throw new Error('There is nothing to choose from.');
    return found;
  }

  private chance(share: number): boolean {
    return this.random() < share;
  }

  private tell(sentence: string): void {
    this.story.push(sentence);
  }
}
