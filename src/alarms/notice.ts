import { createHmac } from 'node:crypto';
import type { Alarm } from './find-alarms.ts';

/** One thing to tell: an alarm, or that it is over. */
export interface Notice {
  readonly what: 'raised' | 'cleared';
  readonly alarm: Alarm;
  /** Instant, ISO 8601. */
  readonly at: string;
}

/** The body that the webhook posts. */
export function webhookBody(notices: readonly Notice[]): string {
  return JSON.stringify({
    product: 'calendar-sync',
    text: notices.map(sentence).join('\n'),
    notices: notices.map(({ what, at, alarm: { key, kind, subject, message, remedy, since } }) => ({
      event: what === 'raised' ? 'alarm' : 'recovery',
      at,
      key,
      kind,
      subject,
      message,
      remedy,
      since,
    })),
  });
}

/**
 * Headers that prove who sent a body, as flows prove theirs: `X-Timestamp` in seconds, `X-Signature` with the
 * HMAC-SHA-256 of `<timestamp>.<body>`.
 */
export function signatureOf(secret: string, body: string, now: Date): Record<string, string> {
  const timestamp = String(Math.floor(now.getTime() / 1_000));
  const hash = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex');
  return { 'X-Timestamp': timestamp, 'X-Signature': `sha256=${hash}` };
}

/** Subject and text of the e-mail. */
export function mailOf(notices: readonly Notice[]): { readonly subject: string; readonly text: string } {
  const [first] = notices;
  const only = first === undefined || notices.length > 1 ? null : sentence(first);
  const raised = notices.filter(({ what }) => what === 'raised').length;
  const counts = [
    ...(raised > 0 ? [`${raised} ${raised === 1 ? 'alarm' : 'alarms'}`] : []),
    ...(raised < notices.length ? [`${notices.length - raised} over`] : []),
  ];
  const subject = `[calendar-sync] ${only ?? counts.join(', ')}`.replaceAll(/\s+/g, ' ').slice(0, 180);
  const text = notices
    .map(({ what, alarm, at }) =>
      [
        sentence({ what, alarm, at }),
        ...(what === 'raised' && alarm.remedy !== null ? [`What to do: ${alarm.remedy}`] : []),
        `Since ${alarm.since}; told at ${at}. (${alarm.kind})`,
      ].join('\n'),
    )
    .join('\n\n');
  return { subject, text: `${text}\n` };
}

function sentence({ what, alarm }: Notice): string {
  return what === 'raised' ? alarm.message : `Over: ${alarm.message}`;
}
