import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type Router from '@koa/router';
import type { Context } from 'koa';
import { SyncError } from '../shared/errors.ts';
import { listConflicts } from '../store/conflicts.ts';
import { explainSeries } from '../store/explain.ts';
import { decideHeld, listHeld, recreateCalendar } from '../store/guard.ts';
import { readAudit, readHistory } from '../store/history.ts';
import { setPin } from '../store/pins.ts';
import { listTenants } from '../store/settings.ts';
import { readStatus } from '../store/status.ts';
import { listTrash, restoredText, titleOf } from '../store/trash.ts';
import { styleHash } from '../web/whole-page.ts';
import { meetingsPage } from '../web/admin/meetings.ts';
import {
  auditPage,
  conflictsPage,
  dataReportPage,
  heldPage,
  historyPage,
  overviewPage,
  signInPage,
  trashPage,
} from '../web/admin/pages.ts';
import type { Operations } from './api-routes.ts';

export interface PageDeps {
  readonly operations: Operations;
  readonly apiKey: string | null;
  readonly publicUrl: string | null;
  readonly now: () => Date;
}

const actor = 'web';
const cookieName = 'calendar_sync_session';
const sessionMs = 12 * 3_600_000;
const pageSize = 100;
const mostBytes = 8_192;
/** Wrong keys a minute, of all who try together: then nobody gets an answer for the rest of it. */
const mostFailures = 20;
const minuteMs = 60_000;

/** The operator's pages, behind the API key: server-rendered, no script, forms that answer by going back to their page. */
export function addPages(router: Router, deps: PageDeps): void {
  const { store, hint, dataReport, restore } = deps.operations;
  const { db } = store;
  const failures: number[] = [];

  const page = (path: string, render: (ctx: Context & { params: Record<string, string> }) => Promise<string | null>) =>
    router.get(path, async (ctx, next) => {
      if (!isSignedIn(ctx, deps)) {
        goTo(ctx, `${'../'.repeat(path.split('/').length - 2) || './'}sign-in`);
        return;
      }
      const text = await render(ctx);
      if (text === null) await next();
      else send(ctx, 200, text);
    });
  const act = (path: string, carryOut: (form: URLSearchParams) => Promise<string>) =>
    router.post(path, async (ctx) => {
      if (!isOwnForm(ctx, deps) || !isSignedIn(ctx, deps)) {
        send(ctx, 403, signInPage('Sign in first; the form was not taken.'));
        return;
      }
      const form = await readForm(ctx.req);
      const back = path === '/pins' ? `meetings?q=${encodeURIComponent(form.get('uid') ?? '')}&` : `${path.slice(1)}?`;
      const done = await carryOut(form).catch((thrown: unknown) => {
        if (thrown instanceof SyncError && thrown.recovery.kind === 'operator')
          return `${thrown.message}. ${thrown.recovery.remedy}`;
        throw thrown;
      });
      goTo(ctx, `./${back}done=${encodeURIComponent(done)}`);
    });

  router.get('/sign-in', (ctx) => send(ctx, 200, signInPage(deps.apiKey === null ? closed : null)));
  router.post('/sign-in', async (ctx) => {
    const now = deps.now().getTime();
    while ((failures[0] ?? now) < now - minuteMs) failures.shift();
    if (failures.length >= mostFailures) {
      send(ctx, 429, signInPage('Too many wrong keys; wait a minute.'));
      return;
    }
    const key = (await readForm(ctx.req)).get('key') ?? '';
    if (!isOwnForm(ctx, deps) || deps.apiKey === null || !isSame(key, deps.apiKey)) {
      failures.push(now);
      send(ctx, 403, signInPage(deps.apiKey === null ? closed : 'This is not the key.'));
      return;
    }
    setSession(ctx, deps, sessionOf(deps.apiKey, now + sessionMs));
    goTo(ctx, './');
  });
  router.post('/sign-out', (ctx) => {
    if (isOwnForm(ctx, deps)) setSession(ctx, deps, '');
    goTo(ctx, './sign-in');
  });

  page('/', async (ctx) => overviewPage(await readStatus(db), await listTenants(db), await listHeld(db), told(ctx)));
  page('/held', async (ctx) => heldPage(await listHeld(db), told(ctx)));
  page('/conflicts', async (ctx) => {
    const state = text(ctx, 'state') === 'all' ? 'all' : 'open';
    return conflictsPage(await listConflicts(db, { state, limit: pageSize }), state, told(ctx));
  });
  page('/meetings', async (ctx) => {
    const query = text(ctx, 'q').trim();
    return meetingsPage(query, query === '' ? [] : await explainSeries(db, query), told(ctx));
  });
  page('/trash', async (ctx) => {
    const entries = await listTrash(db, { limit: pageSize });
    return trashPage(
      entries.map((entry) => ({ ...entry, title: titleOf(entry.body) })),
      told(ctx),
    );
  });
  page('/history', async (ctx) => {
    const status = text(ctx, 'status');
    const filter = {
      status: status === 'ok' || status === 'error' ? status : '',
      source: text(ctx, 'source'),
      target: text(ctx, 'target'),
      since: text(ctx, 'since'),
      until: text(ctx, 'until'),
    } as const;
    const records = await readHistory(db, {
      ...(filter.status === '' ? {} : { status: filter.status }),
      ...(filter.source === '' ? {} : { source: filter.source }),
      ...(filter.target === '' ? {} : { target: filter.target }),
      since: instantOf(filter.since),
      until: instantOf(filter.until),
      before: lineOf(text(ctx, 'before')),
      limit: pageSize,
    });
    return historyPage(records, filter, records.length < pageSize ? null : (records.at(-1)?.id ?? null), told(ctx));
  });
  page('/audit', async (ctx) => {
    const records = await readAudit(db, { before: lineOf(text(ctx, 'before')), limit: pageSize });
    return auditPage(records, records.length < pageSize ? null : (records.at(-1)?.id ?? null), told(ctx));
  });
  page('/tenants/:id/data-report', async (ctx) => {
    const report = await dataReport(ctx.params['id'] ?? '');
    return report === null ? null : dataReportPage(report);
  });

  act('/held', async (form) => {
    const [target, calendar] = [form.get('target'), form.get('calendar')];
    if (target !== null && calendar !== null) {
      await store.transaction((inner) => recreateCalendar(inner, target, calendar, actor));
      hint('deliver', target);
      return `${target}/${calendar} is made again.`;
    }
    const decision = form.get('decision') === 'approve' ? 'approve' : 'discard';
    const decided = await store.transaction((inner) => decideHeld(inner, form.get('subject') ?? '', decision, actor));
    hint(decided.hint.kind, decided.hint.id);
    return decision === 'approve'
      ? `${decided.count} removals of ${decided.subject} are carried out.`
      : `${decided.count} events of ${decided.subject} stay; it is read anew.`;
  });
  act('/trash', async (form) => {
    const restored = await restore(lineOf(form.get('id') ?? '') ?? '0', actor);
    hint('deliver', restored.targetId);
    return restoredText(restored);
  });
  act('/pins', async (form) => {
    const source = form.get('source') ?? '';
    const change = await store.transaction((inner) =>
      setPin(inner, form.get('uid') ?? '', source === '' ? null : source, actor),
    );
    hint('deliver', change.target);
    return source === '' ? 'The rules decide again whose copy shows.' : `The copy of ${source} shows from now on.`;
  });
}

const closed = 'No API_KEY is set, so these pages are closed. Set it in .env and start the service again.';

function send(ctx: Context, status: number, body: string): void {
  ctx.status = status;
  ctx.set({
    'Cache-Control': 'no-store',
    'Content-Security-Policy': `default-src 'none'; style-src '${styleHash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Cross-Origin-Opener-Policy': 'same-origin',
  });
  ctx.type = 'text/html; charset=utf-8';
  ctx.body = body;
}

/** By a relative address: a proxy may show the pages below any path. */
function goTo(ctx: Context, address: string): void {
  ctx.status = 303;
  ctx.set({ Location: address, 'Cache-Control': 'no-store' });
  ctx.type = 'text/plain';
  ctx.body = 'See the other page.';
}

function told(ctx: Context): { done: string | null } {
  const done = text(ctx, 'done');
  return { done: done === '' ? null : done.slice(0, 300) };
}

function text(ctx: Context, name: string): string {
  const value = ctx.query[name];
  return typeof value === 'string' ? value : '';
}

function lineOf(value: string): string | undefined {
  return /^[1-9]\d{0,17}$/.test(value) ? value : undefined;
}

/** A field of type datetime-local says no zone: it is asked for in UTC. */
function instantOf(value: string): Date | undefined {
  const at = new Date(/Z$/.test(value) ? value : `${value}Z`);
  return Number.isNaN(at.getTime()) ? undefined : at;
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > mostBytes) return new URLSearchParams();
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
}

/** `<end>.<signature>`: good until then, and for this key only. */
function sessionOf(apiKey: string, until: number): string {
  const key = createHash('sha256').update(`session of ${apiKey}`).digest();
  return `${until}.${createHmac('sha256', key).update(`${until}`).digest('base64url')}`;
}

function isSignedIn(ctx: Context, { apiKey, now }: PageDeps): boolean {
  if (apiKey === null) return false;
  const cookie = new RegExp(`(?:^|; )${cookieName}=([^;]+)`).exec(ctx.get('cookie'))?.[1] ?? '';
  const until = Number(cookie.split('.')[0]);
  return until > now().getTime() && isSame(cookie, sessionOf(apiKey, until));
}

/** Without a path: the browser takes the folder of the address that it asked, whatever a proxy makes of it. */
function setSession(ctx: Context, { publicUrl }: PageDeps, value: string): void {
  const isSecure = publicUrl?.startsWith('https:') === true && ctx.get('host') === new URL(publicUrl).host;
  const age = value === '' ? 0 : sessionMs / 1_000;
  ctx.append(
    'Set-Cookie',
    `${cookieName}=${value}; Max-Age=${age}; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`,
  );
}

/** Forms of other sites are not taken: browsers say where a form stands. */
function isOwnForm(ctx: Context, { publicUrl }: PageDeps): boolean {
  const site = ctx.get('sec-fetch-site');
  if (site !== '') return site === 'same-origin';
  const origin = ctx.get('origin');
  if (!URL.canParse(origin)) return false;
  const { host } = new URL(origin);
  return host === ctx.get('host') || (publicUrl !== null && host === new URL(publicUrl).host);
}

/** Compares in constant time, whatever the lengths. */
function isSame(given: string, wanted: string): boolean {
  const digest = (part: string): Buffer => createHash('sha256').update(part).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
