import { SyncError, toSyncError } from '../shared/errors.ts';
import type { Db } from '../store/database.ts';
import { recordWork, type DeliveredRecord, type WriteRecord } from '../store/objects.ts';

export interface Unit {
  readonly writes: readonly WriteRecord[];
  readonly delivered: DeliveredRecord | null;
}

const mostUnrecorded = 100;
/** A statement costs the database about as much for one write as for fifty, and it may share its disk with the server. */
const gatherMs = 250;

/**
 * Records what was written a moment later, many writes by one statement, so that the database neither holds the server
 * up nor takes its time. What is not recorded when the process dies is found by its intent.
 */
export class WriteRecorder {
  private readonly db: Db;
  private readonly targetId: string;
  private queue: Unit[] = [];
  private running: Promise<void> | null = null;
  /** Who waits for what is not recorded yet. */
  private waiting = 0;
  private hurry: (() => void) | null = null;
  private failure: SyncError | null = null;

  constructor(db: Db, targetId: string) {
    this.db = db;
    this.targetId = targetId;
  }

  /** Takes a unit; waits when too much is not recorded yet. Throws what recording threw. */
  async add(unit: Unit): Promise<void> {
    // Nothing more is recorded after a failure; a run that had nothing to do would never be seen to end.
    this.throwFailure();
    this.queue.push(unit);
    this.running ??= this.run().finally(() => (this.running = null));
    if (this.queue.length > mostUnrecorded) await this.drain();
    this.throwFailure();
  }

  /** Waits until all is recorded. Throws what recording threw. */
  async drain(): Promise<void> {
    this.waiting += 1;
    this.hurry?.();
    while (this.running !== null) await this.running;
    this.waiting -= 1;
    this.throwFailure();
  }

  private throwFailure(): void {
    if (this.failure !== null) throw this.failure;
  }

  private async gather(): Promise<void> {
    if (this.waiting > 0) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.hurry = resolve;
      timer = setTimeout(resolve, gatherMs);
    });
    clearTimeout(timer);
    this.hurry = null;
  }

  private async run(): Promise<void> {
    try {
      while (this.queue.length > 0 && this.failure === null) {
        await this.gather();
        const units = this.queue;
        this.queue = [];
        const isOurs = await recordWork(
          this.db,
          this.targetId,
          units.flatMap((unit) => unit.writes),
          units.flatMap((unit) => unit.delivered ?? []),
        );
        if (!isOurs) this.failure = leaseLost(this.targetId);
      }
    } catch (thrown) {
      this.failure = toSyncError(thrown);
    }
  }
}

export function leaseLost(targetId: string): SyncError {
  return new SyncError(`Another worker writes to ${targetId} by now`, {
    code: 'deliver.lease_lost',
    recovery: { kind: 'retry' },
  });
}
