import { randomBytes } from 'node:crypto';
import { makeConsentLink } from '../access/consent-desk.ts';
import { SyncError } from '../shared/errors.ts';
import { closeLinks } from '../store/consent.ts';
import { cloudOf, loadTenant } from '../store/configuration.ts';
import { recordAudit } from '../store/history.ts';
import { loadAccess, mailboxesOf } from '../store/tenant-access.ts';
import type { Tenant } from '../config/model.ts';
import { grantScript } from '../web/consent/exchange-script.ts';
import type { Product } from '../compose.ts';
import { exitCodes, tell, withProduct, type Overrides } from './context.ts';

export interface ConsentOptions {
  readonly json: boolean;
  readonly hours: number;
  readonly close: boolean;
  readonly script: boolean;
}

/** Opens a tenant's consent pages by a link, closes them, or prints the script of the scoped way. */
export function consent(tenantId: string, options: ConsentOptions, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ env, product }) => {
    const tenant = await requireTenant(product, tenantId);
    const { store } = product;
    if (options.close) {
      const count = await closeLinks(store.db, tenantId);
      await recordAudit(store.db, { actor: 'cli', action: 'consent.links_closed', subject: `tenants/${tenantId}` });
      tell(options.json, { tenant: tenantId, closed: count }, [`Closed ${count} links.`]);
      return exitCodes.ok;
    }
    if (options.script) {
      const cloud = await cloudOf(store.db, tenant);
      const mailboxes = (await mailboxesOf(store.db, tenantId)).map(({ mailbox }) => mailbox);
      const control = (await loadAccess(store.db, tenantId)).controlMailbox;
      const { directory, client } = tenant;
      const script = grantScript({ tenantId, directory, client, cloud, mailboxes, control });
      tell(options.json, { tenant: tenantId, script }, [script]);
      return exitCodes.ok;
    }
    if (env.publicUrl === null)
      throw new SyncError('Without PUBLIC_URL there are no consent pages', {
        code: 'config.no_public_url',
        field: 'PUBLIC_URL',
        recovery: {
          kind: 'operator',
          remedy:
            'Set PUBLIC_URL to the address under which the administrator reaches this service; or print the script of the scoped way with --script.',
        },
      });
    const mint = (): string => randomBytes(24).toString('base64url');
    const link = await makeConsentLink({ store, mint, publicUrl: env.publicUrl }, tenantId, {
      hours: options.hours,
      actor: 'cli',
    });
    tell(options.json, { tenant: tenantId, url: link.url, expiresAt: link.expiresAt.toISOString() }, [
      `Give this link to the administrator of ${tenant.name}. It opens the consent pages until ${link.expiresAt.toISOString()}:`,
      link.url,
      `Whoever has the link can act for ${tenantId}; "calendar-sync consent ${tenantId} --close" closes it.`,
    ]);
    return exitCodes.ok;
  });
}

/** The tenant, or an error that names those that there are. */
export async function requireTenant({ store, box }: Pick<Product, 'store' | 'box'>, tenantId: string): Promise<Tenant> {
  const tenant = await loadTenant(store.db, box, tenantId);
  if (tenant !== null) return tenant;
  throw new SyncError(`There is no tenant ${tenantId}`, {
    code: 'config.missing_entry',
    recovery: { kind: 'operator', remedy: 'See "calendar-sync export" for the tenants that there are.' },
  });
}
