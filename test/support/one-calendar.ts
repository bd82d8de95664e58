/** The usual beginning of a scenario: one tenant, one mailbox, its calendar mirrored into one target. */
import type { GraphSource } from '../../src/config/model.ts';
import type { IngestOutcome } from '../../src/ingest/run.ts';
import type { RunResult } from '../../src/jobs/worker.ts';
import { compareWithTruth, type Comparison } from './compare-truth.ts';
import type { OutlookCalendar } from './graph/outlook.ts';
import { directoryOf, type OutlookMailbox, type SimulatedTenant } from './graph/people.ts';
import { aStage, type Stage, type StageOptions } from './stage.ts';

export interface OneCalendar {
  readonly stage: Stage;
  readonly tenant: SimulatedTenant;
  readonly mailbox: OutlookMailbox;
  readonly calendar: OutlookCalendar;
  /** The target against Outlook, instance by instance. */
  compare(): Comparison;
  /** Reads the source once, whatever is due. */
  read(): Promise<Exclude<IngestOutcome, { kind: 'nothing' }>>;
  /** Titles of what the target shows, sorted, each object once. */
  titles(): string[];
  close(): Promise<void>;
}

export const me = 'me@contoso.example';
const dayMs = 86_400_000;

/** The date so many days from today, as `2026-07-01`. */
export function day(offset: number, now = new Date()): string {
  return new Date(now.getTime() + offset * dayMs).toISOString().slice(0, 10);
}

/** A moment at nine so many days from today. */
export function at(offset: number, time = '09:00'): string {
  return `${day(offset)}T${time}`;
}

export async function oneCalendar(
  options: StageOptions & { readonly source?: Partial<GraphSource>; readonly zone?: string } = {},
): Promise<OneCalendar> {
  const stage = await aStage(options);
  const { simulator } = stage;
  await stage.target();
  const domain = 'contoso.example';
  await stage.tenant('contoso', {
    directory: directoryOf(domain),
    domain,
    client: '1d2e0000-0000-4000-8000-000000000001',
  });
  const tenant = simulator.tenant(domain);
  const mailbox = tenant.addMailbox({ upn: me, name: 'Me', zone: options.zone ?? 'W. Europe Standard Time' });
  const calendar = mailbox.calendar();
  await stage.source({ id: 'contoso-me', tenant: 'contoso', mailbox: me, ...options.source });

  return {
    stage,
    tenant,
    mailbox,
    calendar,
    compare() {
      const window = { from: `${day(-60)}T00:00:00Z`, to: `${day(600)}T00:00:00Z` };
      const instances = calendar.expected(window);
      const { privacy = 'full', privateItems = 'full', titleTag = '' } = options.source ?? {};
      return compareWithTruth(
        [{ source: 'contoso-me', privacy, privateItems, titleTag, instances }],
        stage.bodies(),
        window,
      );
    },
    async read() {
      const result: RunResult | null = await stage.product.worker.run('ingest', 'contoso-me');
      if (result === null || result.kind === 'nothing') throw new Error('The source was not read.');
      return result as Exclude<IngestOutcome, { kind: 'nothing' }>;
    },
    titles: () =>
      stage
        .bodies()
        .map((body) => /^SUMMARY:(.*)$/m.exec(body)?.[1]?.trim() ?? '')
        .sort(),
    close: () => stage.close(),
  };
}

/** Nothing missing, nothing too much. */
export const noDifference = { missing: [], surplus: [] };
