import type { GraphSource } from '../config/model.ts';
import type { Product } from '../compose.ts';
import { isOwn, listCalendars, openSession } from '../sources/graph/calendars.ts';
import { listMailboxes } from '../sources/graph/mailboxes.ts';
import type { WireCalendar } from '../sources/graph/wire.ts';
import { loadModel } from '../store/configuration.ts';
import { loadSourceCalendar } from '../store/source-calendars.ts';
import { mailboxesOf } from '../store/tenant-access.ts';
import { requireTenant } from './consent.ts';
import { exitCodes, table, tell, withProduct, type Overrides } from './context.ts';

const patienceMs = 120_000;

/** What a tenant has to read: its mailboxes, or the calendars of one, with what to write into the configuration. Reads only. */
export function calendars(
  tenantId: string,
  mailbox: string | null,
  json: boolean,
  overrides: Overrides,
): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const tenant = await requireTenant(product, tenantId);
    const sources = (await loadModel(product.store.db, product.box)).sources.flatMap((source) =>
      source.kind === 'graph' && source.tenant === tenantId ? [source] : [],
    );
    const signal = AbortSignal.timeout(patienceMs);
    if (mailbox === null)
      await tellMailboxes(product, tenant.id, { isPerson: tenant.credential === null, sources, json, signal });
    else await tellCalendars(product, tenant.id, mailbox.trim().toLowerCase(), { sources, json, signal });
    return exitCodes.ok;
  });
}

interface Telling {
  readonly sources: readonly GraphSource[];
  readonly json: boolean;
  readonly signal: AbortSignal;
}

async function tellMailboxes(
  product: Product,
  tenant: string,
  { isPerson, sources, json, signal }: Telling & { readonly isPerson: boolean },
): Promise<void> {
  const listed = isPerson ? null : await listMailboxes(await product.sources.graph(tenant), signal);
  const named = (await mailboxesOf(product.store.db, tenant)).map(({ mailbox }) => ({
    address: mailbox,
    name: '',
    isGuest: false,
  }));
  const rows = (listed ?? named).map(({ address, name, isGuest }) => ({
    address,
    name,
    isGuest,
    sources: sources.filter((source) => source.mailbox.toLowerCase() === address).map(({ id }) => id),
  }));
  const lines = rows.map(({ address, name, isGuest, sources: read }) => [
    address,
    name,
    isGuest ? 'a guest: its calendar is in its own organisation' : read.length > 0 ? `read by ${read.join(', ')}` : '',
  ]);
  const why = isPerson
    ? 'People sign in by themselves here, so that only those are known whom sources name.'
    : 'The app may not list them (that takes the optional permission User.Read.All); these are those whom sources name.';
  tell(json, { tenant, isListed: listed !== null, mailboxes: rows }, [
    ...(listed === null ? [why] : []),
    ...(rows.length === 0 ? ['There is none.'] : table(['mailbox', 'name', ''], lines)),
    `See the calendars of one with "calendar-sync calendars ${tenant} <mailbox>".`,
  ]);
}

async function tellCalendars(product: Product, tenant: string, mailbox: string, telling: Telling): Promise<void> {
  const { sources, json, signal } = telling;
  const client = await product.sources.graph(tenant, mailbox);
  const found = await listCalendars(openSession(client, mailbox, signal));
  const names = namesakes(found);
  const rows = await Promise.all(
    found.map(async (calendar) => ({
      ...calendar,
      isOwn: isOwn(calendar, mailbox),
      /** What `calendar` of a source would be. */
      write: calendar.isDefault ? 'default' : names.has(nameKey(calendar)) ? calendar.id : calendar.name,
      sources: await readersOf(product, calendar, mailbox, sources),
    })),
  );
  const lines = rows.map((row) => [
    row.name,
    row.color ?? '',
    row.owner.address ?? '',
    [
      ...(row.isDefault ? ['default'] : []),
      ...(row.isOwn
        ? []
        : [`a copy: read it at its owner, "calendar-sync calendars ${tenant} ${row.owner.address ?? ''}"`]),
      ...(row.sources.length > 0 ? [`read by ${row.sources.join(', ')}`] : []),
    ].join('; '),
    row.id,
  ]);
  const shape = rows.map(({ id, name, color, owner, isDefault, isOwn: own, canEdit, write, sources: read }) => ({
    id,
    name,
    color,
    owner: owner.address,
    isDefault,
    isOwn: own,
    canEdit,
    write,
    sources: read,
  }));
  const unread = rows.filter(({ isOwn: own, sources: read }) => own && read.length === 0);
  tell(json, { tenant, mailbox, calendars: shape }, [
    ...(rows.length === 0 ? ['There is none.'] : table(['calendar', 'colour', 'owner', '', 'id'], lines)),
    ...(unread.length === 0
      ? []
      : ['Write one into the configuration by its name, or by its id where two are called alike:']),
    ...unread.map(
      ({ write }) =>
        `  - { kind: graph, tenant: ${tenant}, mailbox: ${mailbox}, calendar: ${JSON.stringify(write)}, … }`,
    ),
  ]);
}

/** Sources that read it: as their configuration calls it, or as it was found when it was called so. */
async function readersOf(
  product: Product,
  calendar: WireCalendar,
  mailbox: string,
  sources: readonly GraphSource[],
): Promise<string[]> {
  const readers: string[] = [];
  for (const source of sources) {
    if (source.mailbox.toLowerCase() !== mailbox) continue;
    const known = await loadSourceCalendar(product.store.db, source.id);
    const isFound = known?.wanted === source.calendar && known.id === calendar.id;
    const isCalled = calendar.isDefault
      ? source.calendar === 'default'
      : [calendar.id, calendar.name].includes(source.calendar);
    if (isFound || isCalled) readers.push(source.id);
  }
  return readers;
}

const nameKey = ({ name }: WireCalendar): string => name.trim().toLowerCase();

/** Names by which no single calendar is found: those of several, and `default`, which means another. */
function namesakes(found: readonly WireCalendar[]): ReadonlySet<string> {
  const groups = [...Map.groupBy(found, nameKey)];
  return new Set(['default', ...groups.filter(([, group]) => group.length > 1).map(([name]) => name)]);
}
