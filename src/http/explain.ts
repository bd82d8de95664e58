import type Router from '@koa/router';
import type Koa from 'koa';
import type { Db } from '../store/database.ts';
import { explainSeries } from '../store/explain.ts';

/** `GET /api/v1/explain?q=`: the whole story of the series that `q` names by uid, source id or title. */
export function addExplain(router: Router, deps: { readonly db: Db; readonly guard: Koa.Middleware }): void {
  router.get('/api/v1/explain', deps.guard, async (ctx) => {
    const query = ctx.query['q'];
    ctx.set('Cache-Control', 'no-store');
    if (typeof query !== 'string' || query.trim() === '') {
      ctx.status = 400;
      ctx.body = {
        error: {
          code: 'http.missing_query',
          message: 'q is missing',
          field: 'q',
          remedy: 'Add ?q= with a uid, a source id or a title.',
        },
      };
      return;
    }
    ctx.body = { query, stories: await explainSeries(deps.db, query) };
  });
}
