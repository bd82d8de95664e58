import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { FlowInbox, FlowVerdict } from './http/powerautomate.ts';
import { acceptFlow, type FlowDeps } from './ingest/accept-flow.ts';
import type { Clock } from './shared/clock.ts';
import type { SecretBox } from './shared/secret-box.ts';
import { toClaim } from './sources/powerautomate/to-claim.ts';
import { openSourceSecret } from './store/configuration.ts';
import { findFlowSource, type FlowSource } from './store/flows.ts';
import { recordHistory } from './store/history.ts';

export interface FlowInboxDeps extends FlowDeps {
  readonly box: SecretBox;
  readonly clock: Clock;
}

/** A signature holds for so long, to either side of our clock. */
const signatureMs = 5 * 60_000;
const maxRemembered = 10_000;

/** Where the HTTP door hands in what flows post: checks who posts, and has it stored. */
export function flowInbox(deps: FlowInboxDeps): FlowInbox {
  const keys = new Map<string, { sealed: string; key: string }>();
  /** Signatures of what was stored, with the instant after which their time stamp refuses them anyway. */
  const seen = new Map<string, number>();

  const keyOf = ({ id, keySealed }: FlowSource): string | null => {
    if (keySealed === null) return null;
    const known = keys.get(id);
    if (known?.sealed === keySealed) return known.key;
    const key = openSourceSecret(deps.box, id, keySealed);
    keys.set(id, { sealed: keySealed, key });
    return key;
  };

  const verify = (key: string, proof: Parameters<FlowInbox['check']>[1]): FlowVerdict => {
    const { signature, timestamp, body } = proof;
    if (signature === '') return isSame(proof.key, key) ? 'ok' : 'wrong-key';
    if (proof.key !== '' && !isSame(proof.key, key)) return 'wrong-key';
    const at = /^\d{9,11}$/.test(timestamp) ? Number(timestamp) * 1_000 : Date.parse(timestamp);
    const wanted = createHmac('sha256', key).update(`${timestamp}.`).update(body).digest('hex');
    if (!isSame(signature.replace(/^sha256=/i, '').toLowerCase(), wanted)) return 'wrong-signature';
    const now = deps.clock.now().getTime();
    if (!(Math.abs(now - at) <= signatureMs)) return 'expired-signature';
    return (seen.get(wanted) ?? 0) > now ? 'repeated' : 'ok';
  };

  return {
    async check(sourceId, proof) {
      const source = await findFlowSource(deps.store.db, sourceId);
      if (source === null) return 'unknown';
      const key = keyOf(source);
      return key === null || key === '' ? 'wrong-key' : verify(key, proof);
    },
    accept: (sourceId, { items, window }) =>
      acceptFlow(deps, sourceId, ({ mailbox }) => ({
        claims: items.flatMap((item) => {
          const claim = toClaim(item, mailbox);
          return claim === null
            ? []
            : [{ claim, modifiedAt: item.lastModifiedAt, masterKey: item.seriesMasterId, isMaster: item.isMaster }];
        }),
        deleted: items.flatMap((item) => (item.isDeleted ? [item.id] : [])),
        window,
      })),
    remember(signature) {
      const now = deps.clock.now().getTime();
      if (seen.size >= maxRemembered)
        for (const [old, until] of seen) if (until <= now || seen.size >= maxRemembered) seen.delete(old);
      seen.set(signature.replace(/^sha256=/i, '').toLowerCase(), now + 2 * signatureMs);
    },
    async recordUnreadable(sourceId, { field, problem, shape }) {
      await recordHistory(deps.store.db, {
        status: 'error',
        action: 'receive',
        sourceId,
        httpStatus: 422,
        code: 'flow.unreadable',
        message: `${field} ${problem}. The body was ${shape}`,
      });
    },
  };
}

/** Compares in constant time, whatever the lengths. */
function isSame(given: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
