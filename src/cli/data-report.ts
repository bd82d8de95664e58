import type { DataReport, FieldReport, SourceReport } from '../report/data-report.ts';
import { SyncError } from '../shared/errors.ts';
import { recordAudit } from '../store/history.ts';
import { exitCodes, table, tell, withProduct, type Overrides } from './context.ts';

/** Tells what becomes of a tenant's data: which field goes where, and how long it stays. For a compliance officer. */
export function showDataReport(tenant: string, json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const report = await product.dataReport(tenant);
    if (report === null)
      throw new SyncError(`There is no tenant ${tenant}`, {
        code: 'config.missing_entry',
        field: 'tenant',
        recovery: { kind: 'operator', remedy: 'See "calendar-sync export" for those that are configured.' },
      });
    await recordAudit(product.store.db, { actor: 'cli', action: 'data_report', subject: `tenants/${tenant}` });
    tell(json, report, sentencesOf(report));
    return exitCodes.ok;
  });
}

function sentencesOf({ tenant, madeAt, sources, places, notes }: DataReport): string[] {
  return [
    `Data report for ${tenant.name} (${tenant.id}): cloud ${tenant.cloud}, directory ${tenant.directory}, access ${tenant.access}, ceiling ${tenant.ceiling}`,
    `Made ${madeAt}`,
    ...(sources.length === 0 ? ['', 'No source reads this tenant.'] : sources.flatMap(sourceLines)),
    '',
    'Where data is, and how long',
    ...table(
      ['place', 'what', 'how long'],
      places.map(({ place, what, howLong }) => [place, what, howLong]),
    ),
    '',
    ...notes.map((note) => `- ${note}`),
  ];
}

function sourceLines(source: SourceReport): string[] {
  const paused = source.isPaused ? ' (paused)' : '';
  return [
    '',
    `Source ${source.id}${paused}: ${source.mailbox}, calendar ${source.calendar} -> ${source.target}, ${source.account}`,
    `  privacy ${source.privacy}, private items ${source.privateItems}; ${source.window}`,
    `  left out: ${source.leftOut.length === 0 ? 'nothing' : source.leftOut.join(', ')}`,
    `  now: ${source.stored} series stored, ${source.hidden} left out`,
    ...table(['field', 'Graph', 'stored', 'shown', 'of private items'], rowsOf(source)).map((line) => `  ${line}`),
  ];
}

function rowsOf({ fields, privateFields, privateItems }: SourceReport): string[][] {
  return fields.map(({ field, graph, stored, shown }, index) => [
    field,
    graph,
    stored,
    shown,
    privateItems === 'skip' ? 'left out' : privateFate(privateFields[index]),
  ]);
}

function privateFate(field: FieldReport | undefined): string {
  return field === undefined ? '' : field.stored === field.shown ? field.stored : `${field.stored} / ${field.shown}`;
}
