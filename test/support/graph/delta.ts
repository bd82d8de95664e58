/**
 * calendarView/delta (`event-delta.md`, `delta-query-overview.md`): rounds of pages over one calendar and one frozen
 * window. Sync states live in memory only; a restarted simulator has lost them, which is legal.
 */
import { occurrenceIdFrom } from './ids.ts';
import { instancesOf } from './instances.ts';
import { deltaExceptionJson, instanceJson, masterJson, stubJson, type Json, type Rendering } from './event-json.ts';
import type { ItemState, Tombstone } from './state.ts';
import { seededRandom, type Switches } from './switches.ts';
import type { World } from './world.ts';

/** What one entry of a round stands for; written out only when its page is asked for. */
type Entry =
  | { readonly kind: 'single' | 'master'; readonly key: string; readonly isOld?: boolean }
  | { readonly kind: 'occurrence'; readonly key: string; readonly date: string; readonly isOld?: boolean }
  | {
      readonly kind: 'removed';
      readonly id: string;
      readonly immutableId: string;
      readonly isOccurrence?: boolean;
      readonly isOld?: boolean;
    };

interface Stream {
  readonly id: number;
  readonly calendar: string;
  readonly fromMs: number;
  readonly toMs: number;
  /** Keys (and occurrence slots) that the client was told of. */
  readonly known: Set<string>;
  generation: number;
  readonly tokens: Map<number, Token>;
}

type Token =
  | { readonly kind: 'skip'; readonly round: Round; readonly offset: number; readonly isGap: boolean }
  | { readonly kind: 'delta'; readonly since: number };

interface Round {
  readonly groups: readonly Entry[][];
  readonly startedAt: number;
}

export interface DeltaPage {
  readonly value: Json[];
  readonly next: { readonly kind: '$skiptoken' | '$deltatoken'; readonly token: string };
}

/** The answer when a token's generation is gone. */
export interface LostState {
  readonly lost: string;
}

export class DeltaStreams {
  private readonly world: World;
  private readonly switches: Switches;
  private readonly streams = new Map<number, Stream>();
  private count = 0;
  private random: () => number = seededRandom(1);
  private disorderSeed: number | null = null;

  constructor(world: World, switches: Switches) {
    this.world = world;
    this.switches = switches;
  }

  /** Loses every sync state, as a server's cache may at any time; of one calendar if named. */
  forget(calendar?: string): void {
    for (const stream of this.streams.values()) {
      if (calendar === undefined || stream.calendar === calendar) this.streams.delete(stream.id);
    }
  }

  start(calendar: string, fromMs: number, toMs: number, pageSize: number, rendering: Rendering): DeltaPage {
    this.count += 1;
    const stream: Stream = {
      id: this.count,
      calendar,
      fromMs,
      toMs,
      known: new Set(),
      generation: 100 + this.count,
      tokens: new Map(),
    };
    this.streams.set(stream.id, stream);
    const groups = this.world
      .itemsOf(calendar)
      .map((item) => (item.recurrence ? this.seriesGroup(stream, item) : this.singleGroup(stream, item, false)));
    const strange = this.switches.disorder?.strangeRemovals === true ? this.strangeRemovals() : [];
    return this.page(
      stream,
      { groups: this.disordered(groups.concat(strange)), startedAt: this.sequence() },
      0,
      pageSize,
      rendering,
    );
  }

  follow(token: string, calendar: string, pageSize: number, rendering: Rendering): DeltaPage | LostState {
    const [streamId = 0, generation = 0] = token
      .replace(/^[a-z]+-/, '')
      .split('-')
      .map(Number);
    const stream = this.streams.get(streamId);
    const held = stream?.tokens.get(generation);
    if (stream?.calendar !== calendar || !held) {
      const kept = stream ? [...stream.tokens.keys()] : [];
      // The message tells the generations (microsoft-graph-docs#2350); nobody should parse it.
      return { lost: `The sync state generation is not found; asked ${generation}, held ${kept.join(' to ')}` };
    }
    if (held.kind === 'delta') {
      const round = { groups: this.disordered(this.changes(stream, held.since)), startedAt: this.sequence() };
      return this.page(stream, round, 0, pageSize, rendering);
    }
    if (held.isGap) return this.gap(stream, held.round, held.offset);
    return this.page(stream, held.round, held.offset, pageSize, rendering);
  }

  private sequence(): number {
    return this.world.state.sequence;
  }

  private page(stream: Stream, round: Round, from: number, pageSize: number, rendering: Rendering): DeltaPage {
    const value: Json[] = [];
    let offset = from;
    // One series is not split over pages (observed), so a page may be longer than asked for.
    while (offset < round.groups.length && (value.length === 0 || value.length < pageSize)) {
      for (const entry of round.groups[offset] ?? []) value.push(...this.write(stream, entry, rendering));
      offset += 1;
    }
    const isLast = offset >= round.groups.length;
    if (isLast) return { value, next: this.hold(stream, { kind: 'delta', since: round.startedAt }) };
    // A page may be empty and still have a nextLink (`delta-query-overview.md`, contrib#7790).
    const isGap = this.chance(this.switches.disorder?.emptyPages);
    return { value, next: this.hold(stream, { kind: 'skip', round, offset, isGap }) };
  }

  private gap(stream: Stream, round: Round, offset: number): DeltaPage {
    return { value: [], next: this.hold(stream, { kind: 'skip', round, offset, isGap: false }) };
  }

  /** Only a few generations are kept: a replayed old link finds its state gone (#2350, contrib#7975). */
  private hold(stream: Stream, token: Token): DeltaPage['next'] {
    stream.generation += 1;
    stream.tokens.set(stream.generation, token);
    stream.tokens.delete(stream.generation - this.switches.keptGenerations);
    const isDelta = token.kind === 'delta';
    return {
      kind: isDelta ? '$deltatoken' : '$skiptoken',
      token: `${isDelta ? 'dt' : 'sk'}-${stream.id}-${stream.generation}`,
    };
  }

  private changes(stream: Stream, since: number): Entry[][] {
    const groups: Entry[][] = [];
    for (const { item, calendar, sequence } of this.world.state.tombstones) {
      if (calendar === stream.calendar && sequence > since) groups.push(this.tombstoneGroup(stream, item));
    }
    for (const item of this.world.itemsOf(stream.calendar)) {
      const touches = item.touches.filter(({ sequence }) => sequence > since);
      if (touches.length > 0) groups.push(this.changedGroup(stream, item, touches));
      else if (this.chance(this.switches.disorder?.replays)) groups.push(this.replayGroup(stream, item));
    }
    return groups;
  }

  private replayGroup(stream: Stream, item: ItemState): Entry[] {
    return item.recurrence ? this.seriesGroup(stream, item) : this.singleGroup(stream, item, false);
  }

  private changedGroup(stream: Stream, item: ItemState, touches: ItemState['touches']): Entry[] {
    if (!item.recurrence) return this.singleGroup(stream, item, true);
    const dates = touches.flatMap(({ what }) => (typeof what === 'object' ? [what.date] : []));
    const isWhole = touches.some(({ what }) => what === 'whole');
    // A deleted occurrence is never mentioned: the master and what remains come instead (#PR4501).
    const isCancelled = touches.some(({ what }) => what === 'cancelled');
    if (isWhole && this.switches.afterMasterChange === 'master-only') {
      return [...this.masterEntries(stream, item), ...this.exceptionEntries(stream, item, dates)];
    }
    if (isWhole || isCancelled || this.switches.afterOccurrenceChange === 'whole-series')
      return this.seriesGroup(stream, item);
    return this.exceptionEntries(stream, item, dates);
  }

  private exceptionEntries(stream: Stream, item: ItemState, dates: readonly string[]): Entry[] {
    const inside = new Set(instancesOf(item, stream.fromMs, stream.toMs).map(({ date }) => date));
    return [...new Set(dates)].flatMap((date): Entry[] => {
      const slot = `${item.key} ${date}`;
      if (inside.has(date)) {
        stream.known.add(slot);
        return [{ kind: 'occurrence', key: item.key, date }];
      }
      // Moved out of the window: may come as removed although it exists (`event-delta.md`).
      if (!stream.known.has(slot) && this.switches.outsideTouched === 'known-only') return [];
      return [removedOccurrence(item, date)];
    });
  }

  private seriesGroup(stream: Stream, item: ItemState): Entry[] {
    const instances = instancesOf(item, stream.fromMs, stream.toMs);
    if (instances.length === 0 && !stream.known.has(item.key)) return [];
    for (const { date } of instances) stream.known.add(`${item.key} ${date ?? ''}`);
    return [
      ...this.masterEntries(stream, item),
      ...instances.map(({ date }): Entry => ({ kind: 'occurrence', key: item.key, date: date ?? '' })),
    ];
  }

  private masterEntries(stream: Stream, item: ItemState): Entry[] {
    const [first] = instancesOf(item, -8e15, stream.fromMs);
    stream.known.add(item.key);
    if (first && this.switches.mastersBeforeWindow === 'not') return [];
    return [{ kind: 'master', key: item.key }];
  }

  private singleGroup(stream: Stream, item: ItemState, isTouched: boolean): Entry[] {
    if (instancesOf(item, stream.fromMs, stream.toMs).length > 0) {
      stream.known.add(item.key);
      return [{ kind: 'single', key: item.key }];
    }
    if (!isTouched) return [];
    if (!stream.known.has(item.key) && this.switches.outsideTouched === 'known-only') return [];
    return [{ kind: 'removed', id: item.id, immutableId: item.key }];
  }

  private tombstoneGroup(stream: Stream, item: Tombstone['item']): Entry[] {
    const whole: Entry = { kind: 'removed', id: item.id, immutableId: item.key };
    const isKnown = stream.known.has(item.key);
    if (!isKnown && this.switches.outsideTouched === 'known-only') return [];
    if (!item.recurrence) return [whole];
    const parts = instancesOf(item, stream.fromMs, stream.toMs).map(({ date }) => removedOccurrence(item, date ?? ''));
    return { master: [whole], occurrences: parts, both: [whole, ...parts] }[this.switches.seriesDeleted];
  }

  private strangeRemovals(): Entry[][] {
    return [0, 1].map((index) => [{ kind: 'removed', id: `AAMkNobody${index}=`, immutableId: `AAkANobody${index}=` }]);
  }

  private write(stream: Stream, entry: Entry, rendering: Rendering): Json[] {
    if (entry.kind === 'removed') {
      const { preferences, switches } = rendering;
      const mayBeImmutable = entry.isOccurrence !== true || switches.immutableOccurrenceIds === 'yes';
      const id = preferences.isImmutable && mayBeImmutable ? entry.immutableId : entry.id;
      return [{ '@odata.type': '#microsoft.graph.event', id, '@removed': { reason: switches.removedReason } }];
    }
    const item = this.world.itemByKey(entry.key);
    // Gone since the round began: the next round tells.
    if (item?.calendar !== stream.calendar) return [];
    if (entry.kind === 'master')
      return [older(entry, { '@odata.type': '#microsoft.graph.event', ...masterJson(item, rendering) })];
    const instances = instancesOf(item, stream.fromMs, stream.toMs);
    const date = entry.kind === 'occurrence' ? entry.date : null;
    const instance = instances.find((candidate) => candidate.date === date);
    if (!instance) return [];
    if (instance.type === 'occurrence') return [stubJson(item, instance, rendering)];
    if (instance.type === 'exception') return [older(entry, deltaExceptionJson(item, instance, rendering))];
    return [older(entry, { '@odata.type': '#microsoft.graph.event', ...instanceJson(item, instance, rendering) })];
  }

  /** No order, ids several times in a round with the last one true (`delta-query-overview.md`). */
  private disordered(groups: Entry[][]): Entry[][] {
    const filled = groups.filter((group) => group.length > 0);
    const { disorder } = this.switches;
    if (!disorder) return filled;
    const shuffled = disorder.shuffle ? this.shuffle(filled.map((group) => this.shuffle(group))) : filled;
    const early = shuffled.filter(() => this.chance(disorder.duplicates));
    return [...early.map((group) => group.map((entry): Entry => ({ ...entry, isOld: true }))), ...shuffled];
  }

  private shuffle<T>(list: readonly T[]): T[] {
    return list
      .map((value) => ({ value, rank: this.chanceValue() }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ value }) => value);
  }

  private chance(share: number | undefined): boolean {
    return share !== undefined && share > 0 && this.chanceValue() < share;
  }

  private chanceValue(): number {
    const seed = this.switches.disorder?.seed ?? 1;
    if (seed !== this.disorderSeed) {
      this.random = seededRandom(seed);
      this.disorderSeed = seed;
    }
    return this.random();
  }
}

function removedOccurrence(item: ItemState, date: string): Entry {
  return {
    kind: 'removed',
    id: occurrenceIdFrom(item.id, item.generation, date),
    immutableId: occurrenceIdFrom(item.key, item.generation, date),
    isOccurrence: true,
  };
}

/** An earlier state of an entry that comes again later in the round. */
function older(entry: Entry, json: Json): Json {
  return entry.isOld === true ? { ...json, subject: 'An earlier title' } : json;
}
