import { beat } from '../alarms/channels.ts';
import type { Notice } from '../alarms/notice.ts';
import { toSyncError } from '../shared/errors.ts';
import { openAlarms } from '../store/alarms.ts';
import { recordAudit } from '../store/history.ts';
import { exitCodes, table, tell, withProduct, type Overrides } from './context.ts';

/** `alarms list`: what is wrong now. Exits with 1 when something is. */
export async function listAlarms(json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product: { store } }) => {
    const alarms = await openAlarms(store.db);
    const rows = alarms.map(({ kind, since, message, remedy }) => [
      kind,
      since,
      `${message} ${remedy ?? ''}`.trimEnd(),
    ]);
    tell(json, { alarms }, rows.length === 0 ? ['No alarm.'] : table(['ALARM', 'SINCE', 'WHAT'], rows));
    return alarms.length === 0 ? exitCodes.ok : exitCodes.trouble;
  });
}

/** `alarms test`: sends a trial message on every channel, and a heartbeat. Exits with 1 when one does not take it. */
export async function testAlarms(json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ env, product }) => {
    const now = `${new Date().toISOString().slice(0, 19)}Z`;
    const notice: Notice = {
      what: 'raised',
      at: now,
      alarm: {
        key: 'test',
        kind: 'source.stale',
        subject: 'test',
        message: 'This is a trial of the alarms of calendar-sync; nothing is wrong.',
        remedy: 'Nothing is to be done.',
        since: now,
      },
    };
    const trials: readonly (readonly [string, () => Promise<void>])[] = [
      ...product.channels.map((channel) => [channel.name, () => channel.send([notice])] as const),
      ...(env.heartbeatUrl === null ? [] : [['heartbeat', () => beat(env.heartbeatUrl ?? '', product)] as const]),
    ];
    const results: { channel: string; isWell: boolean; reason: string | null }[] = [];
    for (const [channel, send] of trials)
      try {
        await send();
        results.push({ channel, isWell: true, reason: null });
      } catch (thrown) {
        results.push({ channel, isWell: false, reason: toSyncError(thrown).message });
      }
    const detail = Object.fromEntries(results.map(({ channel, isWell }) => [channel, isWell]));
    await recordAudit(product.store.db, { actor: 'cli', action: 'alarms.test', subject: 'alarms', detail });
    tell(
      json,
      { results },
      results.length === 0
        ? [
            'No channel is set up: see ALARM_WEBHOOK_URL, SMTP_URL with ALARM_MAIL_TO, and HEARTBEAT_URL in .env.template.',
          ]
        : results.map(({ channel, isWell, reason }) => `${channel}: ${isWell ? 'taken' : (reason ?? '')}`),
    );
    return results.length > 0 && results.every(({ isWell }) => isWell) ? exitCodes.ok : exitCodes.trouble;
  });
}
