import type { DataReport, FieldReport, SourceReport } from '../../report/data-report.ts';
import type { ConflictListing } from '../../store/conflicts.ts';
import type { Held } from '../../store/guard.ts';
import type { AuditRecord, HistoryRecord } from '../../store/history.ts';
import type { Status } from '../../store/status.ts';
import type { TrashListing } from '../../store/trash.ts';
import { html, type Html } from '../html.ts';
import { button, frame, tableOf, when, type Frame } from './layout.ts';

/** What every page knows: the last act to be told. */
export interface Told {
  readonly done: string | null;
}

const framed = (title: string, at: string | null, { done }: Told, body: Html, root: Frame['root'] = './'): string =>
  frame({ title, at, root, done, isSignedIn: true }, body);

export function signInPage(refusal: string | null): string {
  return frame(
    { title: 'Sign in', at: null, root: './', isSignedIn: false },
    html`${refusal !== null && html`<p class="notice bad" role="alert">${refusal}</p>`}
      <form class="ask" method="post" action="./sign-in">
        <div>
          <label for="key">API key</label>
          <input id="key" name="key" type="password" autocomplete="current-password" required autofocus />
        </div>
        <button>Sign in</button>
      </form>
      <p class="soft">It is the value of API_KEY of this installation.</p>`,
  );
}

const good = new Set(['fresh', 'current', 'delivering', 'reading', 'paused']);

function stateOf(state: string): Html {
  return html`<span class="${good.has(state) ? 'good' : 'bad'}">${state}</span>`;
}

export function overviewPage(
  { sources, targets }: Status,
  tenants: readonly { readonly id: string; readonly name: string }[],
  { removals, calendars }: Held,
  told: Told,
): string {
  const waiting = removals.reduce((sum, { count }) => sum + count, 0);
  return framed(
    'Overview',
    '',
    told,
    html`${
      waiting + calendars.length > 0 &&
      html`<p class="notice bad" role="status">
        ${waiting} removals and ${calendars.length} calendars wait for you: <a href="./held">decide</a>.
      </p>`
    }
    ${tableOf(
      'Sources',
      ['Source', 'Goes into', 'State', 'Proven fresh (UTC)', 'Shown', 'Left out', 'Held', 'What to do'],
      sources.map((one) => [
        html`<a href="./history?source=${one.id}">${one.id}</a>`,
        one.target,
        stateOf(one.state),
        when(one.freshAt),
        one.shown,
        one.hidden,
        one.held,
        one.reason === null ? '' : html`${one.reason} ${one.remedy}`,
      ]),
    )}
    ${tableOf(
      'Targets',
      ['Target', 'State', 'Entries', 'To write', 'Failing', 'Last write (UTC)', 'What to do'],
      targets.map((one) => [
        html`<a href="./history?target=${one.id}">${one.id}</a>`,
        stateOf(one.state),
        one.objects,
        one.due,
        one.failed,
        when(one.lastWriteAt),
        one.reason === null ? '' : html`${one.reason} ${one.remedy}`,
      ]),
    )}
    ${tableOf(
      'Tenants',
      ['Tenant', 'For its compliance officer'],
      tenants.map(({ id, name }) => [name, html`<a href="./tenants/${id}/data-report">Data report of ${name}</a>`]),
    )}`,
  );
}

export function heldPage({ removals, calendars }: Held, told: Told): string {
  return framed(
    'Held',
    'held',
    told,
    html`<p>
        Removals that are too many at once are held: the events go on showing until you decide. What you approve is kept
        in the trash for 30 days.
      </p>
      ${
        removals.length === 0
          ? html`<p>No removals are held.</p>`
          : tableOf(
              'Removals',
              ['Source or target', 'Held', 'Upcoming', 'Since (UTC)', 'Why', 'Decide'],
              removals.map(({ source, count, upcoming, since, reason }) => [
                source,
                count,
                upcoming,
                when(since),
                reason,
                html`${button('./held', { subject: source, decision: 'discard' }, { label: 'Keep', about: source })}
                ${button(
                  './held',
                  { subject: source, decision: 'approve' },
                  { label: `Remove ${count}`, about: source, isSecond: true },
                )}`,
              ]),
            )
      }
      ${
        calendars.length > 0 &&
        tableOf(
          'Calendars that are gone from their server',
          ['Calendar', 'Entries', 'Since (UTC)', 'Decide'],
          calendars.map(({ target, calendar, objects, since }) => [
            `${target}/${calendar}`,
            objects,
            when(since),
            button('./held', { target, calendar }, { label: 'Make it again', about: `${target}/${calendar}` }),
          ]),
        )
      }`,
  );
}

export function conflictsPage(conflicts: readonly ConflictListing[], state: string, told: Told): string {
  return framed(
    'Conflicts',
    'conflicts',
    told,
    html`<p>
        Where copies of one meeting disagree, both values and the rule that decided. They close by themselves when the
        copies agree again.
        ${state === 'open' ? html`<a href="./conflicts?state=all">Closed ones too</a>` : html`<a href="./conflicts">Open ones only</a>`}
      </p>
      ${
        conflicts.length === 0
          ? html`<p>${state === 'open' ? 'No copies disagree now.' : 'There are none.'}</p>`
          : tableOf(
              'Conflicts',
              ['Meeting', 'Field', 'Shows', 'Other', 'Decided by', 'Since (UTC)', 'Until', 'Pin'],
              conflicts.map((one) => [
                html`<a href="./meetings?q=${one.uid}">${one.title ?? one.uid}</a>`,
                one.field,
                html`${one.shown.value} <span class="soft">(${one.shown.source})</span>`,
                html`${one.other.value} <span class="soft">(${one.other.source})</span>`,
                one.rule,
                when(one.openedAt),
                one.closedAt === null ? 'open' : when(one.closedAt),
                one.closedAt === null
                  ? button(
                      './pins',
                      { uid: one.uid, source: one.other.source },
                      { label: `Show ${one.other.source}'s`, about: one.title ?? one.uid, isSecond: true },
                    )
                  : '',
              ]),
            )
      }`,
  );
}

export function trashPage(entries: readonly (TrashListing & { readonly title: string })[], told: Told): string {
  return framed(
    'Trash',
    'trash',
    told,
    html`<p>
        What was deleted from targets in the last 30 days. What you put back stays until a source shows it once more.
      </p>
      ${
        entries.length === 0
          ? html`<p>The trash is empty.</p>`
          : tableOf(
              'Deleted entries',
              ['Title', 'Where', 'Deleted (UTC)', 'Why', 'Put back'],
              entries.map(({ id, title, target, calendar, deletedAt, reason, restoredAt }) => [
                title,
                `${target}/${calendar}`,
                when(deletedAt),
                reason,
                restoredAt === null
                  ? button('./trash', { id }, { label: 'Put back', about: title, isSecond: true })
                  : html`${when(restoredAt)}`,
              ]),
            )
      }`,
  );
}

export interface HistoryFilter {
  readonly status: string;
  readonly source: string;
  readonly target: string;
  readonly since: string;
  readonly until: string;
}

export function historyPage(
  records: readonly HistoryRecord[],
  filter: HistoryFilter,
  next: string | null,
  told: Told,
): string {
  const field = (name: keyof HistoryFilter, label: string, type: string): Html =>
    html`<div>
      <label for="${name}">${label}</label><input id="${name}" name="${name}" type="${type}" value="${filter[name]}" />
    </div>`;
  const option = (value: string, label: string): Html =>
    value === filter.status
      ? html`<option value="${value}" selected>${label}</option>`
      : html`<option value="${value}">${label}</option>`;
  return framed(
    'History',
    'history',
    told,
    html`<form class="ask" method="get" action="./history">
        <div>
          <label for="status">Status</label>
          <select id="status" name="status">
            ${option('', 'all')} ${option('error', 'errors')} ${option('ok', 'done')}
          </select>
        </div>
        ${field('source', 'Source', 'text')} ${field('target', 'Target', 'text')}
        ${field('since', 'From (UTC)', 'datetime-local')} ${field('until', 'Before (UTC)', 'datetime-local')}
        <button>Show</button>
      </form>
      ${
        records.length === 0
          ? html`<p>Nothing of the kind.</p>`
          : tableOf(
              'Writes and decisions, newest first',
              ['When (UTC)', 'Status', 'What', 'Where', 'Meeting', 'Code', 'Said'],
              records.map((one) => [
                when(one.at),
                html`<span class="${one.status === 'ok' ? 'good' : 'bad'}">${one.status}</span>`,
                one.action,
                [one.source, one.target].filter((name) => name !== null).join(' -> '),
                one.uid === null ? '' : html`<a href="./meetings?q=${one.uid}">${one.title ?? one.uid.slice(0, 8)}</a>`,
                one.code ?? '',
                one.message ?? countsOf(one.counts),
              ]),
            )
      }
      ${next !== null && html`<p><a href="./history?${query({ ...filter, before: next })}">Older</a></p>`}`,
  );
}

function countsOf(counts: Readonly<Record<string, number>> | null): string {
  return Object.entries(counts ?? {})
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

function query(fields: Readonly<Record<string, string>>): string {
  return new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== '')).toString();
}

export function auditPage(records: readonly AuditRecord[], next: string | null, told: Told): string {
  return framed(
    'Audit',
    'audit',
    told,
    html`<p>Who changed what. The database takes lines and refuses to change or delete one.</p>
      ${tableOf(
        'Changes of the configuration and acts of operators, newest first',
        ['When (UTC)', 'Who', 'Did', 'With', 'How'],
        records.map(({ at, actor, action, subject, detail }) => [
          when(at),
          actor,
          action,
          subject,
          typeof detail === 'string' ? detail : detail === null ? '' : JSON.stringify(detail),
        ]),
      )}
      ${next !== null && html`<p><a href="./audit?before=${next}">Older</a></p>`}`,
  );
}

export function dataReportPage({ tenant, madeAt, sources, places, notes }: DataReport): string {
  return framed(
    `Data report for ${tenant.name}`,
    null,
    { done: null },
    html`<dl>
        <dt>Tenant</dt>
        <dd>${tenant.name} (${tenant.id})</dd>
        <dt>Directory</dt>
        <dd>${tenant.directory}, cloud ${tenant.cloud}</dd>
        <dt>Access</dt>
        <dd>${tenant.access}</dd>
        <dt>Ceiling</dt>
        <dd>${tenant.ceiling}: no source may show more</dd>
        <dt>Made</dt>
        <dd>${when(madeAt)} UTC</dd>
      </dl>
      ${sources.length === 0 ? html`<p>No source reads this tenant.</p>` : sources.map(sourceSection)}
      <h2>Where data is, and how long</h2>
      ${tableOf(
        'Places',
        ['Place', 'What', 'How long'],
        places.map(({ place, what, howLong }) => [place, what, howLong]),
      )}
      <h2>What holds for all of it</h2>
      <ul>
        ${notes.map((note) => html`<li>${note}</li>`)}
      </ul>`,
    '../../',
  );
}

function sourceSection(source: SourceReport): Html {
  const { id, mailbox, calendar, target, account, privacy, privateItems, window, leftOut, fields, privateFields } =
    source;
  const ofPrivate = (index: number): string => (privateItems === 'skip' ? 'left out' : fatesOf(privateFields[index]));
  return html`<h2>${mailbox}, calendar ${calendar}</h2>
    <dl>
      <dt>Source</dt>
      <dd>${id}${source.isPaused && ' (paused)'}</dd>
      <dt>Shown in</dt>
      <dd>${target}, ${account}</dd>
      <dt>Privacy</dt>
      <dd>${privacy}; private items: ${privateItems}</dd>
      <dt>Window</dt>
      <dd>${window}</dd>
      <dt>Left out</dt>
      <dd>${leftOut.length === 0 ? 'nothing' : leftOut.join(', ')}</dd>
      <dt>Now</dt>
      <dd>${source.stored} series stored, ${source.hidden} left out</dd>
    </dl>
    ${tableOf(
      `Fields of ${id}`,
      ['Field', 'In Graph', 'Stored here', 'Shown in the calendar', 'Of private items'],
      fields.map(({ field, graph, stored, shown }, index) => [field, graph, stored, shown, ofPrivate(index)]),
    )}`;
}

function fatesOf(field: FieldReport | undefined): string {
  if (field === undefined) return '';
  return field.stored === field.shown ? field.stored : `stored ${field.stored}, shown ${field.shown}`;
}
