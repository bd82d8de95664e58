import { builtInClouds } from '../shared/clouds.ts';
import { systemClock } from '../shared/clock.ts';
import { SyncError } from '../shared/errors.ts';
import { signInByDevice } from '../sources/graph/sign-in.ts';
import { loadClouds } from '../store/configuration.ts';
import { recordAudit } from '../store/history.ts';
import { saveSignIn } from '../store/sign-ins.ts';
import { version } from '../version.ts';
import { requireTenant } from './consent.ts';
import { exitCodes, tell, withProduct, type Overrides } from './context.ts';

const timeoutMs = 60_000;

/** Signs a person in by a code that they enter on another device, and keeps the sign-in for all workers. */
export function signIn(tenantId: string, mailbox: string, json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const { store, box, fetch } = product;
    const tenant = await requireTenant(product, tenantId);
    if (tenant.credential !== null)
      throw new SyncError(`In ${tenantId} the app signs in by itself`, {
        code: 'config.not_delegated',
        recovery: {
          kind: 'operator',
          remedy: 'Set signIn: delegated in place of its secret or certificate, and apply it.',
        },
      });
    const clouds = [...builtInClouds, ...(await loadClouds(store.db))];
    const cloud = clouds.findLast(({ id }) => id === tenant.cloud);
    if (cloud === undefined) return exitCodes.invalid;
    const { directory, client } = tenant;
    const options = { cloud, directory, client, fetch, clock: systemClock, version, timeoutMs };
    const signedIn = await signInByDevice(options, ({ url, code }) => {
      process.stderr.write(`Open ${url} and enter the code ${code}. Waiting, 15 minutes at most.\n`);
    });
    await saveSignIn(store.db, box, tenantId, mailbox, signedIn);
    const { username } = signedIn;
    const detail = { mailbox, username };
    await recordAudit(store.db, { actor: 'cli', action: 'sign_in.taken', subject: `tenants/${tenantId}`, detail });
    // Somebody else's account would be found out here; the sign-in is of no use then, and the next replaces it.
    const proof = await product.prove({ id: tenantId, access: 'delegated' }, AbortSignal.timeout(timeoutMs));
    const found = proof.mailboxes.find((one) => one.mailbox === mailbox.toLowerCase());
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
