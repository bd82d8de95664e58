import type Router from '@koa/router';
import type Koa from 'koa';
import { openAlarms, type OpenAlarm } from '../store/alarms.ts';
import type { Db } from '../store/database.ts';
import { readFreshness, type Freshness, type Percentiles } from '../store/freshness.ts';
import { readPaces, type TenantPace } from '../store/pace.ts';
import { readStatus, type Status } from '../store/status.ts';
import type { InboxCounts } from './notification-inbox.ts';

/** What the page of figures tells. */
export interface MetricsInput {
  readonly version: string;
  readonly memoryBytes: number;
  readonly status: Status;
  readonly freshness: readonly Freshness[];
  readonly paces: readonly TenantPace[];
  readonly alarms: readonly Pick<OpenAlarm, 'kind' | 'subject'>[];
  readonly notifications: Readonly<InboxCounts> | null;
}

export interface MetricsDeps {
  readonly db: Db;
  readonly version: string;
  readonly guard: Koa.Middleware;
  readonly notifications: Readonly<InboxCounts> | null;
}

/** `GET /metrics`: figures for Prometheus. With the key, for ids of sources name people. */
export function addMetrics(router: Router, { db, version, guard, notifications }: MetricsDeps): void {
  router.get('/metrics', guard, async (ctx) => {
    const [status, freshness, paces, alarms] = await Promise.all([
      readStatus(db),
      readFreshness(db),
      readPaces(db),
      openAlarms(db),
    ]);
    const memoryBytes = process.memoryUsage.rss();
    ctx.set('Cache-Control', 'no-store');
    ctx.set('Content-Type', 'text/plain; version=0.0.4; charset=utf-8');
    ctx.body = renderMetrics({ version, memoryBytes, status, freshness, paces, alarms, notifications });
  });
}

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number | null];

/** The text format of Prometheus, version 0.0.4. Times are seconds. Pure. */
export function renderMetrics(input: MetricsInput): string {
  const { status, freshness, paces, alarms, notifications } = input;
  const { sources, targets } = status;
  const lines: string[] = [];
  const metric = (
    name: string,
    type: 'gauge' | 'counter' | 'summary',
    help: string,
    samples: readonly Sample[],
  ): void => {
    const told = samples.filter((sample): sample is readonly [Labels, number] => sample[1] !== null);
    if (told.length === 0) return;
    const base = `calendar_sync_${name}`;
    lines.push(`# HELP ${base} ${help}`, `# TYPE ${base} ${type}`);
    for (const [labels, value] of told) lines.push(`${base}${labelText(labels)} ${value}`);
  };
  const perSource = (value: (source: Status['sources'][number]) => number | null): Sample[] =>
    sources.map((source) => [{ source: source.id }, value(source)]);
  const perTarget = (value: (target: Status['targets'][number]) => number | null): Sample[] =>
    targets.map((target) => [{ target: target.id }, value(target)]);

  metric('info', 'gauge', 'Which version runs.', [[{ version: input.version }, 1]]);
  metric('resident_memory_bytes', 'gauge', 'Memory of the process that answers.', [[{}, input.memoryBytes]]);
  metric(
    'source_state',
    'gauge',
    'State of each source: 1 for the one that it is in.',
    sources.map(({ id, kind, state }) => [{ source: id, kind, state }, 1]),
  );
  metric(
    'source_fresh_timestamp_seconds',
    'gauge',
    'When it was last proven that what shows is what the source has.',
    perSource(({ freshAt }) => unixSeconds(freshAt)),
  );
  metric(
    'source_failures',
    'gauge',
    'Failures in a row.',
    perSource(({ failures }) => failures),
  );
  metric(
    'source_series',
    'gauge',
    'Series of each source.',
    sources.flatMap(({ id, shown, hidden, held, stale }): Sample[] =>
      Object.entries({ shown, hidden, held, stale }).map(([state, count]) => [{ source: id, state }, count]),
    ),
  );
  metric(
    'source_slowed',
    'gauge',
    '1 while it is polled less often because it asked for that.',
    perSource(({ slowedAt }) => (slowedAt === null ? 0 : 1)),
  );
  metric(
    'freshness_seconds',
    'summary',
    'Time until a change was written, of the last 24 hours, since the change itself, its notification and its reading.',
    freshness.flatMap(({ source, sinceChange, sinceNotification, sinceReading }): Sample[] =>
      Object.entries({ change: sinceChange, notification: sinceNotification, reading: sinceReading }).flatMap(
        ([since, cuts]) => quantiles({ source, since }, cuts),
      ),
    ),
  );
  metric(
    'changes_24h',
    'gauge',
    'Changes written in the last 24 hours.',
    freshness.map(({ source, changes }) => [{ source }, changes]),
  );
  metric(
    'target_state',
    'gauge',
    'State of each target: 1 for the one that it is in.',
    targets.map(({ id, state }) => [{ target: id, state }, 1]),
  );
  metric(
    'target_objects',
    'gauge',
    'Entries that we keep there.',
    perTarget(({ objects }) => objects),
  );
  metric(
    'target_due',
    'gauge',
    'Meetings that wait to be written.',
    perTarget(({ due }) => due),
  );
  metric(
    'target_failed',
    'gauge',
    'Meetings that could not be written.',
    perTarget(({ failed }) => failed),
  );
  metric(
    'target_last_write_timestamp_seconds',
    'gauge',
    'When something was last written.',
    perTarget(({ lastWriteAt }) => unixSeconds(lastWriteAt)),
  );
  metric(
    'tenant_readings_at_a_time',
    'gauge',
    'Readings of a tenant that may run at once.',
    paces.map(({ tenant, atATime }) => [{ tenant }, atATime]),
  );
  metric('alarms', 'gauge', 'Alarms that last.', [
    ...alarms.map(({ kind, subject }): Sample => [{ kind, subject }, 1]),
    ...(alarms.length === 0 ? [[{ kind: 'none', subject: '' }, 0] as const] : []),
  ]);
  if (notifications !== null) {
    const { received, unknown, wrongState, malformed } = notifications;
    const ignored = { unknown, wrong_state: wrongState, malformed };
    metric('notifications_total', 'counter', 'Items of change notifications since the process started.', [
      [{}, received],
    ]);
    metric(
      'notifications_ignored_total',
      'counter',
      'Those of them that were not heeded.',
      Object.entries(ignored).map(([why, count]) => [{ why }, count]),
    );
  }
  return `${lines.join('\n')}\n`;
}

function quantiles(labels: Labels, { p50, p95, p99 }: Percentiles): Sample[] {
  return Object.entries({ '0.5': p50, '0.95': p95, '0.99': p99 }).map(([quantile, ms]) => [
    { ...labels, quantile },
    ms === null ? null : ms / 1_000,
  ]);
}

function unixSeconds(at: string | null): number | null {
  return at === null ? null : Date.parse(at) / 1_000;
}

function labelText(labels: Labels): string {
  const parts = Object.entries(labels).map(
    ([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`,
  );
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}
