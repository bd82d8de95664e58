import { createHmac } from 'node:crypto';
import type { FlowInbox, FlowVerdict } from './http/powerautomate.ts';
import { acceptFlow, type FlowDeps } from './ingest/accept-flow.ts';
import type { Clock } from './shared/clock.ts';
import type { SecretBox } from './shared/secret-box.ts';
import { isKeyOf, isSame } from './shared/webhook-key.ts';
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

/** Where the HTTP door hands in what flows post: checks who posts, and has it stored. */
export function flowInbox(deps: FlowInboxDeps): FlowInbox {
  const signingKeys = new Map<string, { sealed: string; key: string }>();

  const signingKeyOf = ({ id, signingKeySealed }: FlowSource): string | null => {
    if (signingKeySealed === null) return null;
    const known = signingKeys.get(id);
    if (known?.sealed === signingKeySealed) return known.key;
    const key = openSourceSecret(deps.box, id, signingKeySealed);
    signingKeys.set(id, { sealed: signingKeySealed, key });
    return key;
  };

  const verify = (source: FlowSource, proof: Parameters<FlowInbox['check']>[1]): FlowVerdict => {
    const { signature, timestamp, body } = proof;
    const isKnown = proof.key !== '' && source.keys.some((kept) => isKeyOf(kept, proof.key));
    if (signature === '') return isKnown ? 'ok' : 'wrong-key';
    if (proof.key !== '' && !isKnown) return 'wrong-key';
    const signingKey = signingKeyOf(source);
    if (signingKey === null) return 'no-signing-key';
    const at = /^\d{9,11}$/.test(timestamp) ? Number(timestamp) * 1_000 : Date.parse(timestamp);
    const wanted = createHmac('sha256', signingKey).update(`${timestamp}.`).update(body).digest('hex');
    if (!isSame(plainSignature(signature), wanted)) return 'wrong-signature';
    return Math.abs(deps.clock.now().getTime() - at) <= signatureMs ? 'ok' : 'expired-signature';
  };

  return {
    async check(sourceId, proof) {
      const source = await findFlowSource(deps.store.db, sourceId);
      return source === null ? 'unknown' : verify(source, proof);
    },
    accept: (sourceId, { items, window, signature }) =>
      acceptFlow(deps, sourceId, ({ mailbox }) => ({
        claims: items.flatMap((item) => {
          const claim = toClaim(item, mailbox);
          return claim === null
            ? []
            : [{ claim, modifiedAt: item.lastModifiedAt, masterKey: item.seriesMasterId, isMaster: item.isMaster }];
        }),
        deleted: items.flatMap((item) => (item.isDeleted ? [item.id] : [])),
        window,
        signature: signature === null ? null : plainSignature(signature),
      })),
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

function plainSignature(signature: string): string {
  return signature.replace(/^sha256=/i, '').toLowerCase();
}
