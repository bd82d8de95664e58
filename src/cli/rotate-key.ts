import { recordAudit } from '../store/history.ts';
import { resealSecrets } from '../store/sealed-secrets.ts';
import { exitCodes, tell, withProduct, type Overrides } from './context.ts';

/**
 * Seals all secrets with the present key. May be cut off and run again, and beside a running service that knows both
 * keys. Exits with 1 when no key opens one of them.
 */
export function rotateKey(json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ env, product: { store, box } }) => {
    const { sealed, unreadable } = await resealSecrets(store.db, box, (done, all) => {
      if (!json && process.stderr.isTTY) process.stderr.write(`${done}/${all} secrets …\r`);
    });
    if (sealed + unreadable.length > 0)
      await recordAudit(store.db, {
        actor: 'cli',
        action: 'key.rotate',
        subject: box.currentKeyId,
        detail: { sealed, unreadable },
      });
    const isRest = env.encryptionKeysOld.length > 0;
    tell(json, { key: box.currentKeyId, sealed, unreadable }, [
      sealed === 0
        ? `No secret had to be sealed anew with key ${box.currentKeyId}.`
        : `${sealed} secrets are sealed with key ${box.currentKeyId} now.`,
      ...unreadable.map((context) => `No key opens ${context}: give it anew, or add its key to ENCRYPTION_KEYS_OLD.`),
      ...(unreadable.length === 0 && isRest
        ? ['Take the former key out of ENCRYPTION_KEYS_OLD, and keep it as long as backups of its time are kept.']
        : []),
    ]);
    return unreadable.length === 0 ? exitCodes.ok : exitCodes.trouble;
  });
}
