import { html } from '../html.ts';
import { page } from './page.ts';

/** How long things are kept, in days. */
export interface KeptDays {
  readonly history: number;
  readonly trash: number;
}

/** What becomes of people's data, for those whose calendars are read and whoever answers for them. Pure. */
export function privacyPage({ history, trash }: KeptDays): string {
  return page(
    'Privacy',
    html`<h1>Privacy</h1>
      <p>
        calendar-sync copies the events of calendars that it was given into one calendar of the same person, on a server
        that its operator runs. It has no maker's service behind it: what is said here is done on the operator's own
        machines. Whom to ask is whoever sent you here.
      </p>
      <h2>What is read</h2>
      <p>
        Calendars of the mailboxes that are named, with the permission Calendars.Read: titles, times, places, people,
        notes. No mail, no files, no contacts. Nothing is changed there, and nobody is written to.
      </p>
      <h2>What is stored</h2>
      <ul>
        <li>
          Events as far as the limit of the organisation permits: only times (<em>busy</em>), times and titles
          (<em>title</em>), or everything (<em>full</em>). What is left out is in no table, log or backup.
        </li>
        <li>
          Addresses of the mailboxes, and, where people sign in by themselves, who did and the right to renew that.
        </li>
        <li>What was done when: identifiers and codes, no titles.</li>
        <li>Keys, secrets and sign-ins are encrypted (AES-256-GCM).</li>
      </ul>
      <h2>For how long</h2>
      <dl>
        <dt>Events</dt>
        <dd>as long as the calendar shows them; the operator may keep past ones</dd>
        <dt>Removed events</dt>
        <dd>${trash} days in a trash, so that a mistake can be undone</dd>
        <dt>What was done</dt>
        <dd>${history} days</dd>
        <dt>Withdrawn access</dt>
        <dd>as many days as the page of your organisation says, 30 as a rule; then the events go by themselves</dd>
        <dt>Backups</dt>
        <dd>until newer ones replace them</dd>
        <dt>Access tokens</dt>
        <dd>about an hour, in memory only</dd>
      </dl>
      <h2>Who gets it</h2>
      <p>
        The calendar of the person, on the operator's server, and those who may read that calendar. Tokens go to the
        login host and the Graph host of the organisation's own cloud and nowhere else. There is no telemetry.
      </p>
      <h2>What you can do</h2>
      <ul>
        <li>An administrator can lower the limit at any time; what shows more is cut down at once.</li>
        <li>Access can be withdrawn at Microsoft at any time; the program notices within the hour.</li>
        <li>
          The operator can say field by field what is kept of an organisation (<code>calendar-sync data-report</code>),
          and remove all of it at once, with a report (<code>calendar-sync forget</code>).
        </li>
      </ul>`,
  );
}
