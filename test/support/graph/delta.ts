/**
 * calendarView/delta (`event-delta.md`, `delta-query-overview.md`): rounds of pages over one calendar and one frozen
 * window. Sync states live in memory only; a restarted simulator has lost them, which is legal.
 */
import { changedEntries, removedEntries, wholeEntries, writeEntry, type Entry, type View } from './delta-entries.ts';
import { Disorderer } from './disorder.ts';
import type { Json, Rendering } from './event-json.ts';
import type { Switches } from './switches.ts';
import type { World } from './world.ts';

interface Stream extends View {
  readonly id: number;
  generation: number;
  readonly tokens: Map<number, Token>;
}

type Token =
  | { readonly kind: 'skip'; readonly round: Round; readonly offset: number; readonly isGap: boolean }
  | { readonly kind: 'delta'; readonly since: number };

interface Round {
  readonly groups: readonly Entry[][];
  /** The world's sequence when the round began: the next one tells what came after. */
  readonly startedAt: number;
}

export interface DeltaPage {
  readonly value: Json[];
  readonly next: { readonly kind: '$skiptoken' | '$deltatoken'; readonly token: string };
}

/** A token whose generation is gone; the message is the server's. */
export interface LostState {
  readonly lost: string;
}

/** More than the server can expand in its time. */
export const tooLong = { tooLong: true } as const;

export class DeltaStreams {
  private readonly world: World;
  private readonly switches: Switches;
  private readonly disorder: Disorderer;
  private readonly streams = new Map<number, Stream>();
  private count = 0;
  /** The world's sequence up to which changes are visible; null: all. */
  private visible: number | null = null;

  constructor(world: World, switches: Switches) {
    this.world = world;
    this.switches = switches;
    this.disorder = new Disorderer(switches);
  }

  /** Loses every sync state, as a server's cache may at any time; of one calendar if named. */
  forget(calendar?: string): void {
    for (const stream of this.streams.values()) {
      if (calendar === undefined || stream.calendar === calendar) this.streams.delete(stream.id);
    }
  }

  /** Lets delta lag: changes from now on stay unseen until released. Asked twice, the first moment holds. */
  hold(): void {
    this.visible ??= this.world.state.sequence;
  }

  release(): void {
    this.visible = null;
  }

  start(
    calendar: string,
    fromMs: number,
    toMs: number,
    pageSize: number,
    rendering: Rendering,
  ): DeltaPage | typeof tooLong {
    if (this.isTooLong({ calendar, fromMs, toMs })) return tooLong;
    this.count += 1;
    const [id, generation] = [this.count, 100 + this.count];
    const stream: Stream = { id, calendar, fromMs, toMs, known: new Set(), generation, tokens: new Map() };
    this.streams.set(id, stream);
    const groups = this.world.itemsOf(calendar).map((item) => wholeEntries(stream, item, this.switches));
    return this.page(stream, this.round(groups, true), 0, pageSize, rendering);
  }

  follow(
    token: string,
    calendar: string,
    pageSize: number,
    rendering: Rendering,
  ): DeltaPage | LostState | typeof tooLong {
    const [streamId = 0, generation = 0] = token
      .replace(/^[a-z]+-/, '')
      .split('-')
      .map(Number);
    const stream = this.streams.get(streamId);
    const held = stream?.tokens.get(generation);
    if (stream?.calendar !== calendar || !held) {
      const kept = stream ? [...stream.tokens.keys()] : [];
      // The message tells the generations (microsoft-graph-docs#2350); nobody should parse it.
      return { lost: `The sync state generation is not found; asked ${generation}, held ${kept.join(' ')}` };
    }
    if (this.isTooLong(stream)) return tooLong;
    if (held.kind === 'delta')
      return this.page(stream, this.round(this.changes(stream, held.since), false), 0, pageSize, rendering);
    // A page may be empty and still have a nextLink (`delta-query-overview.md`, contrib#7790).
    if (held.isGap) return { value: [], next: this.keep(stream, { ...held, isGap: false }) };
    return this.page(stream, held.round, held.offset, pageSize, rendering);
  }

  private isTooLong({ calendar, fromMs, toMs }: Pick<View, 'calendar' | 'fromMs' | 'toMs'>): boolean {
    const days = this.switches.longestEndlessDays;
    if (days === null || toMs - fromMs <= days * 86_400_000) return false;
    return this.world.itemsOf(calendar).some(({ recurrence }) => recurrence?.range.type === 'noEnd');
  }

  private horizon(): number {
    return this.visible ?? this.world.state.sequence;
  }

  private round(groups: Entry[][], isFirst: boolean): Round {
    return { groups: this.disorder.arrange(groups, isFirst), startedAt: this.horizon() };
  }

  private changes(stream: Stream, since: number): Entry[][] {
    const isNews = (sequence: number): boolean => sequence > since && sequence <= this.horizon();
    const gone = this.world.state.tombstones
      .filter(({ calendar, sequence }) => calendar === stream.calendar && isNews(sequence))
      .map(({ item }) => removedEntries(stream, item, this.switches));
    const here = this.world.itemsOf(stream.calendar).map((item) => {
      const touches = item.touches.filter(({ sequence }) => isNews(sequence));
      if (touches.length > 0) return changedEntries(stream, item, touches, this.switches);
      return this.disorder.happens('replays') ? wholeEntries(stream, item, this.switches) : [];
    });
    return [...gone, ...here];
  }

  private page(stream: Stream, round: Round, from: number, pageSize: number, rendering: Rendering): DeltaPage {
    const value: Json[] = [];
    let offset = from;
    // One series is not split over pages (observed), so a page may be longer than asked for.
    while (offset < round.groups.length && value.length < pageSize) {
      for (const entry of round.groups[offset] ?? []) {
        const json = writeEntry(this.world, stream, entry, rendering);
        if (json) value.push(json);
      }
      offset += 1;
    }
    if (offset >= round.groups.length) {
      return { value, next: this.keep(stream, { kind: 'delta', since: round.startedAt }) };
    }
    const isGap = this.disorder.happens('emptyPages');
    return { value, next: this.keep(stream, { kind: 'skip', round, offset, isGap }) };
  }

  /** Only a few generations are kept: a replayed old link finds its state gone (#2350, contrib#7975). */
  private keep(stream: Stream, token: Token): DeltaPage['next'] {
    stream.generation += 1;
    stream.tokens.set(stream.generation, token);
    stream.tokens.delete(stream.generation - this.switches.keptGenerations);
    const [kind, prefix] = token.kind === 'delta' ? (['$deltatoken', 'dt'] as const) : (['$skiptoken', 'sk'] as const);
    return { kind, token: `${prefix}-${stream.id}-${stream.generation}` };
  }
}
