import { systemClock } from '../shared/clock.ts';
import { checkSignIn } from '../access/check-sign-in.ts';
import { SyncError, toSyncError } from '../shared/errors.ts';
import { signInByDevice } from '../sources/graph/sign-in.ts';
import { cloudOf } from '../store/configuration.ts';
import { recordAudit } from '../store/history.ts';
import { saveSignIn } from '../store/sign-ins.ts';
import { mailboxesOf } from '../store/tenant-access.ts';
import { version } from '../version.ts';
import { requireTenant } from './consent.ts';
import { exitCodes, tell, withProduct, type Overrides } from './context.ts';

const timeoutMs = 60_000;

/** Signs a person in by a code that they enter on another device, and keeps the sign-in for all workers. */
export function signIn(tenantId: string, address: string, json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const { store, box, fetch } = product;
    const tenant = await requireTenant(product, tenantId);
    const mailbox = address.trim().toLowerCase();
    const named = (await mailboxesOf(store.db, tenantId)).map((one) => one.mailbox);
    if (!named.includes(mailbox))
      throw new SyncError(`No source of ${tenantId} names the mailbox ${address}`, {
        code: 'config.missing_entry',
        recovery: {
          kind: 'operator',
          remedy: `${named.length === 0 ? 'Add a source that does' : `Choose one of ${named.join(', ')}, or add a source that does`}, and apply it.`,
        },
      });
    if (tenant.credential !== null)
      throw new SyncError(`In ${tenantId} the app signs in by itself`, {
        code: 'config.not_delegated',
        recovery: {
          kind: 'operator',
          remedy: 'Set signIn: delegated in place of its secret or certificate, and apply it.',
        },
      });
    const cloud = await cloudOf(store.db, tenant);
    const { directory, client } = tenant;
    const options = { cloud, directory, client, fetch, clock: systemClock, version, timeoutMs };
    const signedIn = await signInByDevice(options, ({ url, code }) => {
      process.stderr.write(`Open ${url} and enter the code ${code}. Waiting, 15 minutes at most.\n`);
    });
    const { username, accessToken } = signedIn;
    const subject = `tenants/${tenantId}`;
    try {
      await checkSignIn(options, accessToken, mailbox);
    } catch (thrown) {
      const detail = { mailbox, username, code: toSyncError(thrown).code };
      await recordAudit(store.db, { actor: 'cli', action: 'sign_in.refused', subject, detail });
      throw thrown;
    }
    await saveSignIn(store.db, box, tenantId, mailbox, signedIn);
    await recordAudit(store.db, { actor: 'cli', action: 'sign_in.taken', subject, detail: { mailbox, username } });
    const proof = await product.prove({ id: tenantId, access: 'delegated' }, AbortSignal.timeout(timeoutMs));
    const found = proof.mailboxes.find((one) => one.mailbox === mailbox);
    const isReadable = found?.state === 'readable';
    tell(json, { tenant: tenantId, mailbox, username, isReadable, reason: found?.reason ?? null }, [
      `${username} is signed in for ${mailbox}.`,
      isReadable
        ? 'Its calendar can be read.'
        : `Its calendar cannot be read: ${found?.reason ?? 'no source names it'}`,
    ]);
    return isReadable ? exitCodes.ok : exitCodes.trouble;
  });
}
