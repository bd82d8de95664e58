/** Two writers are the best that a Baikal left at its defaults takes (measured: more only add tail). */
const firstCount = 2;
const mostWriters = 8;

const windowWrites = 100;
const windowMs = 1_000;
/** So slow a server is judged by fewer writes. */
const longWindowMs = 10_000;
const fewestWrites = 10;
/** Between two writes of one stretch; longer means that there was nothing to write. */
const pauseMs = 2_000;
/** More writers must be worth it; fewer are taken when they cost next to nothing. */
const gainToRise = 1.08;
/** A gain that needs no second look. */
const clearGain = 1.25;
const lossToFall = 0.97;
const firstHold = 10;
const longestHold = 80;

type Trial = { readonly to: number; readonly before: number; during: number | null };

/**
 * How many writers a target takes best, found and held by measuring: now and then one stretch of writes is made with
 * twice or half as many, between two with the present number, and what proves faster stays. Pure but for its memory: the
 * caller tells the time.
 */
export class WriterPace {
  private count = firstCount;
  private trial: Trial | null = null;
  private next: 'up' | 'down' = 'up';
  /** Stretches until the next trial. */
  private hold = 0;
  private holdNext = firstHold;
  private startedAt: number | null = null;
  private lastAt = 0;
  private writes = 0;
  /** Writes that began under another number. */
  private skip = 0;

  /** Writers at a time, from now on. */
  get limit(): number {
    return this.trial?.during === null ? this.trial.to : this.count;
  }

  /** A write has ended; `nowMs` on a clock that only goes on. */
  wrote(nowMs: number): void {
    if (nowMs - this.lastAt > pauseMs) this.startedAt = null;
    this.lastAt = nowMs;
    if (this.startedAt === null) return this.begin(nowMs, 0);
    if (this.skip > 0) {
      this.skip -= 1;
      if (this.skip === 0) this.begin(nowMs, 0);
      return;
    }
    this.writes += 1;
    const ms = nowMs - this.startedAt;
    const isFull = this.writes >= windowWrites && ms >= windowMs;
    if (!isFull && !(ms >= longWindowMs && this.writes >= fewestWrites)) return;
    const before = this.limit;
    this.judge((1_000 * this.writes) / ms);
    this.begin(nowMs, this.limit === before ? 0 : Math.max(before, this.limit));
  }

  /** The server did not keep up: fewer for a while. */
  slowDown(): void {
    this.count = Math.max(1, Math.floor(this.count / 2));
    this.trial = null;
    this.next = 'up';
    this.hold = firstHold;
    this.startedAt = null;
  }

  private begin(nowMs: number, skip: number): void {
    this.startedAt = nowMs;
    this.writes = 0;
    this.skip = skip;
  }

  /** `rate`: writes per second of the stretch that has ended. */
  private judge(rate: number): void {
    const { trial } = this;
    if (trial === null) {
      if (this.hold > 0) this.hold -= 1;
      else this.tryNext(rate);
    } else if (trial.during === null && !(trial.to > this.count && rate > clearGain * trial.before))
      trial.during = rate;
    else if (trial.during === null) {
      this.trial = null;
      this.decide(trial.to, rate / trial.before, rate);
    } else {
      this.trial = null;
      this.decide(trial.to, trial.during / ((trial.before + rate) / 2), rate);
    }
  }

  private decide(to: number, ratio: number, rate: number): void {
    const isUp = to > this.count;
    const isBetter = isUp ? ratio > gainToRise : ratio >= lossToFall;
    if (isBetter) {
      this.count = to;
      this.holdNext = firstHold;
      // The way back was just measured; only further on is news.
      this.next = isUp ? 'up' : 'down';
      if (isUp ? to < mostWriters : to > 1) return;
    } else if (isUp) {
      this.next = 'down';
      return this.tryNext(rate);
    }
    this.next = 'up';
    this.hold = this.holdNext;
    this.holdNext = Math.min(longestHold, this.holdNext * 2);
  }

  private tryNext(rate: number): void {
    const to = this.next === 'up' ? Math.min(mostWriters, this.count * 2) : Math.floor(this.count / 2);
    if (to >= 1 && to !== this.count) this.trial = { to, before: rate, during: null };
    else {
      this.next = this.next === 'up' ? 'down' : 'up';
      this.hold = this.holdNext;
    }
  }
}

/** Lets so many in as the pace says at the moment. */
export class Gate {
  private readonly pace: Pick<WriterPace, 'limit'>;
  private inside = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(pace: Pick<WriterPace, 'limit'>) {
    this.pace = pace;
  }

  async enter(): Promise<void> {
    while (this.inside >= this.pace.limit) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.inside += 1;
  }

  leave(): void {
    this.inside -= 1;
    for (let free = this.pace.limit - this.inside; free > 0; free -= 1) this.waiting.shift()?.();
  }
}

export const writersAtMost = mostWriters;
