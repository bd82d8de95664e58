import type { IncomingMessage } from 'node:http';
import type Router from '@koa/router';
import type { Context } from 'koa';
import type { ConsentDesk, OpenPage, Outcome } from '../access/consent-desk.ts';
import { grantScript } from '../web/consent/exchange-script.ts';
import type { Notice } from '../web/consent/page.ts';
import { styleHash } from '../web/whole-page.ts';
import { privacyPage, type KeptDays } from '../web/consent/privacy-page.ts';
import { subjectOf } from '../web/consent/scoped.ts';
import { messagePage, sheetPage, tenantPage } from '../web/consent/tenant-page.ts';
import type { ConsentView } from '../web/consent/view.ts';

export interface ConsentRoutes {
  readonly desk: ConsentDesk;
  readonly publicUrl: string;
  readonly kept: KeptDays;
}

const maxBytes = 65_536;

/**
 * `/consent/…`: closed but for who comes by a link that was made for the tenant. The link's key moves into a cookie at
 * once, so that it stands in no address that is copied, printed or kept in a history.
 */
export function addConsent(router: Router, { desk, publicUrl, kept }: ConsentRoutes): void {
  const { pathname, protocol, origin } = new URL(`${publicUrl}/consent`);
  const cookie = { path: pathname, isSecure: protocol === 'https:' };

  /** The page of the tenant in the address, opened by the cookie; else it answers by itself. */
  const opened = async (ctx: Context & { params: Record<string, string> }): Promise<OpenPage | null> => {
    const tenantId = ctx.params['tenant'] ?? '';
    const page = await desk.open(tenantId, readCookie(ctx, cookieName(tenantId)));
    if (page === null) send(ctx, 403, messagePage(closed), []);
    return page;
  };
  const show = async (ctx: Context, page: OpenPage, status: number, notice: Notice | null): Promise<void> => {
    const done = ctx.query['done'];
    const view = await desk.view(page, typeof done === 'string' && notice === null ? done : null);
    sendPage(ctx, status, tenantPage(notice === null ? view : { ...view, notice }), view);
  };
  const conclude = async (ctx: Context, page: OpenPage, outcome: Outcome): Promise<void> => {
    if (outcome.kind === 'refused') await show(ctx, page, 400, outcome.notice);
    else goTo(ctx, `${pathname}/${page.tenantId}?done=${outcome.done}`);
  };

  // Open to all: an app registration names it as its privacy statement.
  router.get('/privacy', (ctx) => send(ctx, 200, privacyPage(kept), []));

  router.get('/consent/callback', async (ctx) => {
    const { tenantId, linkId, outcome } = await desk.comeBack(
      ctx.URL.searchParams,
      async (id, link) => (await desk.open(id, readCookie(ctx, cookieName(id))))?.id === link,
    );
    const page = tenantId === null ? null : await desk.open(tenantId, readCookie(ctx, cookieName(tenantId)));
    // Somebody else than who holds the page may have been sent to Microsoft: they see no more than their own result.
    if (page !== null && page.id === linkId) await conclude(ctx, page, outcome);
    else if (outcome.kind === 'refused') send(ctx, 400, messagePage(outcome.notice), []);
    else send(ctx, 200, messagePage(thanks), []);
  });

  router.get('/consent/:tenant', async (ctx) => {
    const tenantId = ctx.params['tenant'] ?? '';
    const { key } = ctx.query;
    if (typeof key === 'string') {
      const page = await desk.open(tenantId, key);
      if (page === null) {
        send(ctx, 403, messagePage(closed), []);
        return;
      }
      const flags = `Path=${cookie.path}; HttpOnly; SameSite=Lax${cookie.isSecure ? '; Secure' : ''}`;
      ctx.append('Set-Cookie', `${cookieName(tenantId)}=${key}; Expires=${page.expiresAt.toUTCString()}; ${flags}`);
      goTo(ctx, `${pathname}/${tenantId}`);
      return;
    }
    const page = await opened(ctx);
    if (page !== null) await show(ctx, page, 200, null);
  });

  router.get('/consent/:tenant/sheet', async (ctx) => {
    const page = await opened(ctx);
    if (page === null) return;
    const view = await desk.view(page, null);
    sendPage(ctx, 200, sheetPage(view), view);
  });

  router.get('/consent/:tenant/grant.ps1', async (ctx) => {
    const page = await opened(ctx);
    if (page === null) return;
    const view = await desk.view(page, null);
    // With a mark, or Windows PowerShell takes the text for another encoding.
    attach(ctx, `calendar-sync-${page.tenantId}.ps1`, 'text/plain', `\ufeff${grantScript(subjectOf(view))}`);
  });

  router.get('/consent/:tenant/certificate.pem', async (ctx) => {
    const page = await opened(ctx);
    if (page === null) return;
    const { certificate } = await desk.view(page, null);
    if (certificate !== null) attach(ctx, `calendar-sync-${page.tenantId}.pem`, 'application/x-pem-file', certificate);
  });

  router.post('/consent/:tenant/:action', async (ctx, next) => {
    const act = actions[ctx.params['action'] ?? ''];
    if (act === undefined) {
      await next();
      return;
    }
    const page = await opened(ctx);
    if (page === null) return;
    // The cookie is not sent along from other sites; a browser that says where it comes from must come from here.
    const from = ctx.get('origin');
    const form = from === '' || from === origin ? await readForm(ctx.req) : null;
    if (form === null) {
      ctx.set('Connection', 'close');
      send(ctx, 400, messagePage(notOurs), []);
      return;
    }
    const result = await act(desk, page, form);
    if (typeof result === 'string') goTo(ctx, result);
    else await conclude(ctx, page, result);
  });
}

/** What the forms of the page do: an address to go to, or what became of it. */
const actions: Readonly<
  Record<string, (desk: ConsentDesk, page: OpenPage, form: URLSearchParams) => Promise<string | Outcome>>
> = {
  ask: (desk, page, form) => desk.ask(page, form.get('form') === 'v1' ? 'v1' : 'v2'),
  'sign-in': (desk, page, form) => desk.startSignIn(page, form.get('mailbox') ?? ''),
  prove: (desk, page) => desk.prove(page),
  paste: (desk, page, form) => desk.paste(page, form.get('result') ?? ''),
  control: (desk, page, form) => desk.setControl(page, form.get('mailbox') ?? ''),
  ceiling: (desk, page, form) => desk.setCeiling(page, form.get('ceiling') ?? '', form.get('approve') === 'yes'),
};

const closed: Notice = {
  kind: 'bad',
  title: 'This page is closed',
  text: 'It opens by a link that is made for one organisation and expires. Ask the operator of calendar-sync for a new one.',
};
const thanks: Notice = {
  kind: 'good',
  title: 'Thank you',
  text: 'What you decided at Microsoft was taken, and is being tried. You can close this page; who sent you here sees the result.',
};
const notOurs: Notice = {
  kind: 'bad',
  title: 'This form cannot be taken',
  text: 'It did not come from this page, or is too long. Nothing was changed.',
};

function cookieName(tenantId: string): string {
  return `consent_${tenantId.replaceAll(/[^a-z0-9-]/g, '')}`;
}

function readCookie(ctx: Context, name: string): string {
  return ctx.cookies.get(name) ?? '';
}

function sendPage(ctx: Context, status: number, text: string, { cloud }: ConsentView): void {
  // A form that is answered by a redirect to Microsoft must be allowed to go there.
  send(ctx, status, text, [new URL(cloud.login).origin]);
}

function send(ctx: Context, status: number, text: string, formTargets: readonly string[]): void {
  ctx.status = status;
  ctx.type = 'text/html; charset=utf-8';
  protect(ctx, formTargets);
  ctx.body = text;
}

function attach(ctx: Context, name: string, type: string, text: string): void {
  protect(ctx, []);
  ctx.set('Content-Type', `${type}; charset=utf-8`);
  ctx.set('Content-Disposition', `attachment; filename="${name}"`);
  ctx.body = text;
}

function goTo(ctx: Context, url: string): void {
  protect(ctx, []);
  ctx.status = 303;
  ctx.set('Location', url);
  ctx.body = '';
}

function protect(ctx: Context, formTargets: readonly string[]): void {
  const forms = ["'self'", ...formTargets].join(' ');
  ctx.set(
    'Content-Security-Policy',
    `default-src 'none'; style-src '${styleHash}'; form-action ${forms}; base-uri 'none'; frame-ancestors 'none'`,
  );
  ctx.set('X-Frame-Options', 'DENY');
  ctx.set('X-Content-Type-Options', 'nosniff');
  ctx.set('Referrer-Policy', 'same-origin');
  ctx.set('Cache-Control', 'no-store');
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) return null;
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
}
