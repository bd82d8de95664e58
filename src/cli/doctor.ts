import { existsSync } from 'node:fs';
import { builtInClouds } from '../shared/clouds.ts';
import { ownMailbox } from '../deliver/own-mailbox.ts';
import { remedyOf, toSyncError } from '../shared/errors.ts';
import type { CalendarFacts } from '../sources/graph/graph-source.ts';
import { loadModel } from '../store/configuration.ts';
import { tryPaused } from '../store/jobs.ts';
import { readChecks, readListed } from '../store/status.ts';
import { loadTarget } from '../store/targets.ts';
import { loadModelFile } from '../config/yaml.ts';
import { contactedHosts, sayHosts } from './contacted-hosts.ts';
import { checkTenant, type Examination, type Work } from './doctor-tenant.ts';
import { exitCodes, tell, withProduct, type Overrides } from './context.ts';

export interface Check {
  readonly name: string;
  /** `skipped`: not tried, because of a failure that another check tells. */
  readonly state: 'ok' | 'failed' | 'warning' | 'skipped';
  readonly says: string;
  readonly code: string | null;
  readonly remedy: string | null;
}

/**
 * One line per thing that must work, with what to do about it. Reads only; a source or target that had been given up
 * until somebody acts, and works now, is taken up again at once.
 */
export function doctor(json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ env, product }) => {
    const checks: Check[] = [];
    const signal = AbortSignal.timeout(120_000);
    const record = (result: Check): void => {
      checks.push(result);
      if (!json) process.stdout.write(`${describe(result)}\n`);
    };
    const skip: Examination['skip'] = (name, says) =>
      record({ name, state: 'skipped', says, code: null, remedy: null });
    const check: Examination['check'] = async (name, work) => {
      let result: Check;
      try {
        const says = await work();
        result =
          typeof says === 'string'
            ? { name, state: 'ok', says, code: null, remedy: null }
            : { name, state: 'warning', says: says.warning, code: null, remedy: says.remedy };
      } catch (thrown) {
        const error = toSyncError(thrown);
        result = { name, state: 'failed', says: error.message, code: error.code, remedy: remedyOf(error) };
      }
      record(result);
      return result.state !== 'failed';
    };

    await check('PostgreSQL', () => Promise.resolve(`answers (${product.databaseKind})`));
    await check('encryption key', () => Promise.resolve(`key ${product.box.currentKeyId}`));
    const { configFile } = env;
    if (configFile !== null && existsSync(configFile))
      await check(`file ${configFile}`, () => {
        const { tenants, targets, sources } = loadModelFile(configFile, env.lookUp);
        return Promise.resolve(
          [counted(tenants, 'tenant'), counted(targets, 'target'), counted(sources, 'source')].join(', '),
        );
      });
    const model = await loadModel(product.store.db, product.box);
    if (model.sources.length === 0)
      await check('configuration', () =>
        Promise.resolve({
          warning: 'no source is configured yet',
          remedy: 'Write calendars.yaml and run "calendar-sync apply".',
        }),
      );
    if (model.sources.length + model.targets.length > 0) {
      const clouds = [...builtInClouds, ...model.clouds];
      await check('hosts that are contacted', () => Promise.resolve(sayHosts(contactedHosts(model, clouds, env))));
    }
    const checkAndTakeUp = (kind: 'source' | 'target', id: string, work: Work): Promise<boolean> =>
      check(`${kind} ${id}`, async () => {
        const says = await work();
        const { sources, targets } = await tryPaused(product.store.db, `${kind}:${id}`);
        for (const source of sources) product.hints.send('ingest', source);
        for (const target of targets) product.hints.send('deliver', target);
        if (sources.length + targets.length === 0) return says;
        const note = '; it had been paused, and is taken up again now';
        return typeof says === 'string' ? `${says}${note}` : { ...says, warning: `${says.warning}${note}` };
      });
    const stopped = new Set<string>();
    for (const tenant of model.tenants)
      for (const id of await checkTenant({ check, skip }, { product, env, tenant, signal })) stopped.add(id);
    for (const source of model.sources) {
      const { id, kind } = source;
      if (kind === 'powerautomate' || stopped.has(id)) continue;
      const configured = kind === 'graph' ? source.calendar : 'default';
      await checkAndTakeUp('source', id, async () => {
        const opened = await product.sources.open(id);
        if (opened.kind === 'graph') {
          const facts = await opened.source.probeCalendar(signal);
          if (facts.isOwn) return sayCalendar(facts, configured);
          return {
            warning: `"${facts.name}" is a local copy of a calendar of ${facts.owner ?? 'somebody else'}`,
            remedy: 'Read it at its owner instead, or events may show twice.',
          };
        }
        if (opened.kind === 'caldav') return `reads the calendar "${(await opened.source.probeCalendar(signal)).name}"`;
        const page = await opened.source.readPage(
          null,
          { from: '2000-01-01T00:00:00Z', to: '2000-01-02T00:00:00Z' },
          signal,
        );
        return `answers with a calendar (${page.requests} request)`;
      });
    }
    for (const target of model.targets)
      await checkAndTakeUp('target', target.id, async () => {
        const state = await loadTarget(product.store.db, target.id);
        if (state === null) return 'is being removed';
        const dav = product.openTarget(state);
        const home = await dav.discover(signal);
        const calendars = await dav.listCalendars(signal);
        const own = await ownMailbox(product.store.db, home.addresses);
        if (own !== undefined)
          return {
            warning: `the account's own address ${own} is a mirrored mailbox`,
            remedy: 'Nothing is mailed by us; give the account another address so that no other program mails either.',
          };
        return `answers at ${home.home}, ${counted(calendars, 'calendar')}`;
      });
    if (model.sources.some(({ kind }) => kind === 'graph'))
      await check('series', async () => {
        const { db } = product.store;
        const says = sayChecks(await readChecks(db));
        const listed = await readListed(db);
        if (listed.length === 0) return says;
        const which = listed.map(({ source, reason, count }) => `${count} of ${source}: ${reason}`).join('; ');
        return {
          warning: `${says}. ${which}`,
          remedy: 'They show at the right times. Give them a usual time zone in Outlook to see them as series.',
        };
      });

    const failed = checks.filter((one) => one.state === 'failed').length;
    if (json) tell(true, { checks }, []);
    else process.stdout.write(failed === 0 ? 'All is well.\n' : `${failed} of ${checks.length} checks failed.\n`);
    return failed === 0 ? exitCodes.ok : exitCodes.trouble;
  });
}

/** A calendar is followed when it is renamed or gets another id; then the configuration calls it by what it was. */
function sayCalendar({ id, name, isDefault }: CalendarFacts, configured: string): string {
  const isAsCalled = isDefault || configured === id || configured.trim().toLowerCase() === name.trim().toLowerCase();
  return `reads the calendar "${name}"${isAsCalled ? '' : `, called "${configured}" in the configuration`}`;
}

/** How many series Graph's own list of dates proves, and in which way. */
function sayChecks(checks: Readonly<Record<string, number>>): string {
  const names: Readonly<Record<string, string>> = {
    rule: 'by their rule',
    zone: 'in another time zone than the one they name',
    shifted: 'with cancelled dates put right',
    list: 'date by date',
  };
  const told = Object.entries(checks).filter(([, count]) => count > 0);
  if (told.length === 0) return 'none was read yet';
  const all = told.reduce((sum, [, count]) => sum + count, 0);
  const ways = told.map(([mode, count]) => `${count} ${names[mode] ?? mode}`);
  return `${all} shown as Graph shows them: ${ways.join(', ')}`;
}

function counted(many: readonly unknown[], one: string): string {
  return `${many.length} ${one}${many.length === 1 ? '' : 's'}`;
}

function describe(check: Check): string {
  const sign = { ok: 'ok  ', warning: 'warn', failed: 'FAIL', skipped: 'skip' }[check.state];
  const remedy = check.remedy === null ? '' : `\n      ${check.remedy}`;
  return `${sign}  ${check.name}: ${check.says}${check.code === null ? '' : ` (${check.code})`}${remedy}`;
}
