import type { Clock } from '../shared/clock.ts';
import { SyncError } from '../shared/errors.ts';
import { mailOf, signatureOf, webhookBody, type Notice } from './notice.ts';

export interface ChannelSettings {
  readonly webhookUrl: string | null;
  readonly webhookSecret: string | null;
  /** `smtp://` (STARTTLS where offered) or `smtps://`, user and password in it. */
  readonly smtpUrl: string | null;
  readonly mailFrom: string | null;
  readonly mailTo: string | null;
  readonly heartbeatUrl: string | null;
}

export type ChannelName = 'webhook' | 'mail';

/** A way to tell the operator. Throws SyncError `alarm.not_delivered` when nobody has taken it. */
export interface Channel {
  readonly name: ChannelName;
  send(notices: readonly Notice[]): Promise<void>;
}

export interface ChannelDeps {
  readonly fetch: typeof fetch;
  readonly clock: Clock;
}

const timeoutMs = 15_000;

/** The channels that are set up. */
export function openChannels(settings: ChannelSettings, { fetch, clock }: ChannelDeps): readonly Channel[] {
  const { webhookUrl, webhookSecret, smtpUrl, mailFrom, mailTo } = settings;
  const channels: Channel[] = [];
  if (webhookUrl !== null)
    channels.push({
      name: 'webhook',
      async send(notices) {
        const body = webhookBody(notices);
        const headers = {
          'Content-Type': 'application/json',
          ...(webhookSecret === null ? {} : signatureOf(webhookSecret, body, clock.now())),
        };
        await ask(fetch, 'The webhook', webhookUrl, { method: 'POST', headers, body });
      },
    });
  if (smtpUrl !== null && mailTo !== null)
    channels.push({
      name: 'mail',
      async send(notices) {
        const { createTransport } = await import('nodemailer'); // most installations never send one
        const transport = createTransport({
          url: smtpUrl,
          connectionTimeout: timeoutMs,
          greetingTimeout: timeoutMs,
          socketTimeout: timeoutMs,
        });
        try {
          // RFC 3834: no auto-reply to it, please.
          const headers = { 'Auto-Submitted': 'auto-generated' };
          await transport.sendMail({ from: mailFrom ?? mailTo, to: mailTo, headers, ...mailOf(notices) });
        } catch (cause) {
          throw notDelivered('The mail server', cause instanceof Error ? cause.message : String(cause), cause);
        } finally {
          transport.close();
        }
      },
    });
  return channels;
}

/** Tells an outside watcher that all is well; when this stops, it raises the alarm. */
export async function beat(url: string, { fetch }: Pick<ChannelDeps, 'fetch'>): Promise<void> {
  await ask(fetch, 'The heartbeat', url, { method: 'GET' });
}

async function ask(send: typeof fetch, who: string, url: string, init: RequestInit): Promise<void> {
  let status: number;
  try {
    const response = await send(url, { ...init, redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) });
    await response.body?.cancel();
    status = response.status;
  } catch (cause) {
    throw notDelivered(who, `does not answer (${cause instanceof Error ? cause.name : 'error'})`, cause);
  }
  if (status < 200 || status >= 300) throw notDelivered(who, `answered ${status}`, null);
}

function notDelivered(who: string, how: string, cause: unknown): SyncError {
  return new SyncError(`${who} did not take the message: ${how}`, {
    code: 'alarm.not_delivered',
    recovery: { kind: 'retry' },
    ...(cause === null ? {} : { cause }),
  });
}
