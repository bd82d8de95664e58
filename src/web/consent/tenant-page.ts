import type { Privacy } from '../../calendar/privacy.ts';
import type { AccessState, MailboxAccess } from '../../store/tenant-access.ts';
import { html, type Html } from '../html.ts';
import { instant, noticeBox, page, portalOf, type Notice } from './page.ts';
import { scopedSteps } from './scoped.ts';
import type { ConsentView } from './view.ts';

const modes: Readonly<Record<Privacy, string>> = {
  busy: 'times only: that somebody is busy, nothing else',
  title: 'times and titles, no descriptions, places or people',
  full: 'everything that the calendar shows',
};

/** What an administrator, or a person who signs in, sees of a tenant. Pure. */
export function tenantPage(view: ConsentView): string {
  const { tenant, notice } = view;
  const title = `Calendar access for ${tenant.name}`;
  return page(
    title,
    html`<h1>${title}</h1>
      ${notice === null ? null : noticeBox(notice)} ${stateBox(view)} ${asked(view)} ${way(view)}
      ${tenant.access === 'delegated' ? null : controlForm(view)} ${ceilingForm(view)} ${mailboxList(view)}
      ${kept(view)}
      <p class="soft">This page is open until ${instant(view.expiresAt)}. After that, ask for a new link.</p>`,
  );
}

/** The steps of the scoped way alone, to be printed or sent on. */
export function sheetPage(view: ConsentView): string {
  const title = `Calendar access for ${view.tenant.name}: steps for the administrator`;
  return page(
    title,
    html`<h1>${title}</h1>
      <p class="screen"><a href="${view.base}/${view.tenant.id}">Back to the page</a></p>
      ${asked(view)} ${scopedSteps(view, { isSheet: true })} ${kept(view)}`,
  );
}

function asked({ tenant, mailboxes, cloud }: ConsentView): Html {
  const who =
    tenant.access === 'tenant-wide'
      ? 'Microsoft can grant that only for all mailboxes of the organisation at once; the program reads those that are named below.'
      : tenant.access === 'scoped'
        ? 'It asks for the mailboxes below and no others; Exchange enforces that.'
        : 'Each person signs in for their own mailbox.';
  return html`<section aria-labelledby="asked">
    <h2 id="asked">What is asked for</h2>
    <p>
      <strong>calendar-sync</strong> shows people who work in several organisations all their meetings in one calendar.
      It asks to <strong>read calendars</strong> (Calendars.Read), nothing else: it cannot change, answer or delete
      anything, and it cannot read mail, files or contacts. ${who}
    </p>
    <dl>
      <dt>Mailboxes</dt>
      <dd>${mailboxes.length === 0 ? 'none is named yet' : mailboxes.map(({ mailbox }) => html`${mailbox}<br />`)}</dd>
      <dt>Organisation</dt>
      <dd><code>${tenant.directory}</code></dd>
      <dt>Application</dt>
      <dd><code>${tenant.client}</code></dd>
      <dt>Cloud</dt>
      <dd>
        signs in at <code>${new URL(cloud.login).host}</code>, reads at <code>${new URL(cloud.graph).host}</code>, and
        sends what it gets there nowhere else
      </dd>
    </dl>
  </section>`;
}

const states: Readonly<Record<AccessState, { kind: Notice['kind']; title: string }>> = {
  unasked: { kind: 'note', title: 'Access has not been given yet' },
  declined: { kind: 'note', title: 'Access was declined' },
  propagating: { kind: 'note', title: 'Propagating: access was given and is not working yet' },
  proven: { kind: 'good', title: 'Proven: the calendars can be read' },
  partial: { kind: 'note', title: 'Some mailboxes can be read, some cannot' },
  undone: { kind: 'bad', title: 'The limit does not hold' },
  unreadable: { kind: 'bad', title: 'No mailbox can be read' },
  withdrawn: { kind: 'note', title: 'Access was withdrawn' },
};

function stateBox({ access, base, tenant }: ConsentView): Html {
  const isDelegated = tenant.access === 'delegated';
  const { kind, title } =
    isDelegated && access.state === 'unasked'
      ? { ...states.unasked, title: 'Not everybody has signed in yet' }
      : states[access.state];
  const control =
    access.controlMailbox === null
      ? 'No control mailbox is named, so that nothing else can be read is not proven.'
      : access.controlState === 'refused'
        ? `The control mailbox ${access.controlMailbox} was refused, as it must be.`
        : access.controlState === 'readable'
          ? `The control mailbox ${access.controlMailbox} could be read.`
          : `The control mailbox ${access.controlMailbox} has not been tried with a clear result yet.`;
  return html`<section class="notice ${kind}" aria-labelledby="state">
    <h2 id="state">${title}</h2>
    <p>
      ${access.reason === null ? null : html`${access.reason} ${remedyHere(access, tenant)}<br />`}
      ${isDelegated ? null : html`${control}<br />`} Last proof: ${instant(access.provenAt)}. Last tried:
      ${instant(access.triedAt)}. It is repeated every day.
    </p>
    <form method="post" action="${base}/${tenant.id}/prove">
      <button class="second">Try now</button>
    </form>
  </section>`;
}

function way(view: ConsentView): Html {
  switch (view.tenant.access) {
    case 'scoped':
      return scopedSteps(view, { isSheet: false });
    case 'tenant-wide':
      return tenantWide(view);
    case 'delegated':
      return signInForms(view);
  }
}

function tenantWide({ base, tenant, cloud, redirectUri, access }: ConsentView): Html {
  const again = access.grantedAt === null ? '' : ' again';
  return html`<section aria-labelledby="grant">
    <h2 id="grant">Grant access</h2>
    <p>
      The button leads to Microsoft's own page at <code>${new URL(cloud.login).host}</code>, where a Global
      Administrator or Privileged Role Administrator sees the permission and accepts or declines it. Then Microsoft
      leads back here.
    </p>
    <form method="post" action="${base}/${tenant.id}/ask">
      <input type="hidden" name="form" value="v2" />
      <button>Grant${again} at Microsoft</button>
    </form>
    <details>
      <summary>If that page shows an error</summary>
      <p>
        The app registration must list <code>${redirectUri}</code> among its redirect addresses (platform Web), and the
        application permission Calendars.Read of Microsoft Graph. There is an older form of Microsoft's page, too:
      </p>
      <form method="post" action="${base}/${tenant.id}/ask">
        <input type="hidden" name="form" value="v1" />
        <button class="second">Use the older form</button>
      </form>
    </details>
    <h3>To withdraw it</h3>
    <p>
      In ${portalOf(cloud)}, Enterprise applications, choose the application and delete it, or remove its permission.
      The program notices within the hour.
    </p>
  </section>`;
}

function signInForms({ base, tenant, mailboxes, signIns, redirectUri }: ConsentView): Html {
  return html`<section aria-labelledby="sign-in">
    <h2 id="sign-in">Sign in</h2>
    <p>
      Sign in at Microsoft with the account of the mailbox. The program then reads that calendar until you withdraw it
      at Microsoft (My Account, Apps) or your organisation asks you to sign in again. It never sees your password.
    </p>
    ${mailboxes.map(({ mailbox }) => {
      const signedIn = signIns.find((one) => one.mailbox === mailbox);
      return html`<form class="card" method="post" action="${base}/${tenant.id}/sign-in">
        <input type="hidden" name="mailbox" value="${mailbox}" />
        <p>
          <strong>${mailbox}</strong><br />
          ${
            signedIn === undefined
              ? 'nobody has signed in yet'
              : html`${signedIn.username} signed in
                ${instant(signedIn.signedInAt)}${
                  signedIn.expiresAt === null ? null : html`, good until ${instant(signedIn.expiresAt)}`
                }`
          }
        </p>
        <button
          ${signedIn === undefined ? null : html`class="second"`}
          aria-label="${signedIn === undefined ? 'Sign in' : 'Sign in again'}: ${mailbox}"
        >
          ${signedIn === undefined ? 'Sign in' : 'Sign in again'}
        </button>
      </form>`;
    })}
    <details>
      <summary>If Microsoft shows an error</summary>
      <p>
        The app registration must list <code>${redirectUri}</code> among its redirect addresses under the platform
        "Mobile and desktop applications", allow public client flows, and ask for the delegated permission
        Calendars.Read.
      </p>
    </details>
  </section>`;
}

function controlForm({ base, tenant, access }: ConsentView): Html {
  return html`<section aria-labelledby="control">
    <h2 id="control">Proof that nothing else can be read</h2>
    <p>
      Name a mailbox that the program must <em>not</em> be able to read. It is tried with every proof, once a day, and
      must be refused; no event of it is ever asked for.
    </p>
    <form method="post" action="${base}/${tenant.id}/control">
      <label for="mailbox">Control mailbox</label>
      <input id="mailbox" name="mailbox" type="email" autocomplete="off" value="${access.controlMailbox ?? ''}" />
      <button class="second">Save and try</button>
    </form>
  </section>`;
}

function ceilingForm({ base, tenant, access }: ConsentView): Html {
  const now = access.ceiling;
  return html`<section aria-labelledby="ceiling">
    <h2 id="ceiling">How much may be shown at most</h2>
    <p>
      ${
        now === null
          ? html`Nothing is set here; the operator's own limit is <strong>${tenant.ceiling}</strong>.`
          : html`You permit <strong>${now}</strong> (${modes[now]}) since ${instant(access.ceilingAt)}.`
      }
      What is not permitted is not even stored. The operator can show less, never more; raising the limit needs your
      approval here.
    </p>
    <form method="post" action="${base}/${tenant.id}/ceiling">
      <fieldset>
        <legend>Permit at most</legend>
        ${(['busy', 'title', 'full'] as const).map(
          (mode) =>
            html`<label class="choice"
              ><input
                type="radio"
                name="ceiling"
                value="${mode}"
                required
                ${mode === (now ?? tenant.ceiling) ? html`checked` : null}
              />
              <span><strong>${mode}</strong>: ${modes[mode]}</span></label
            >`,
        )}
        ${
          now === null || now === 'full'
            ? null
            : html`<label class="choice"
                ><input type="checkbox" name="approve" value="yes" />
                <span>I approve that more is shown than now. Needed only for a higher limit.</span></label
              >`
        }
      </fieldset>
      <button class="second">Save</button>
    </form>
  </section>`;
}

const mailboxStates: Readonly<Record<NonNullable<MailboxAccess['state']>, { kind: Notice['kind']; says: string }>> = {
  readable: { kind: 'good', says: 'can be read' },
  refused: { kind: 'bad', says: 'is refused' },
  missing: { kind: 'bad', says: 'does not exist' },
  unavailable: { kind: 'bad', says: 'has no mailbox in the cloud' },
  unknown: { kind: 'note', says: 'did not answer clearly' },
};

/** Remedies speak to the operator; whoever is on this page signs in on it. */
function remedyHere(
  { code, remedy }: { readonly code: string | null; readonly remedy: string | null },
  { access }: ConsentView['tenant'],
): string | null {
  return access === 'delegated' && code === 'graph.not_signed_in' ? 'Sign in on this page.' : remedy;
}

function mailboxList({ mailboxes, tenant }: ConsentView): Html | null {
  if (mailboxes.length === 0) return null;
  return html`<section aria-labelledby="mailboxes">
    <h2 id="mailboxes">What is read</h2>
    ${mailboxes.map(({ mailbox, state, code, reason, remedy, lastReadAt, readableAt }) => {
      const told = state === null ? null : mailboxStates[state];
      const todo = remedyHere({ code, remedy }, tenant);
      return html`<div class="card">
        <h3>${mailbox}</h3>
        <dl>
          <dt>Access</dt>
          <dd>
            ${told === null ? 'not tried yet' : html`<span class="state ${told.kind}">${told.says}</span>`}
            ${reason === null ? null : html`<br />${reason} ${todo}`}
          </dd>
          <dt>Calendar last read</dt>
          <dd>${instant(lastReadAt)}</dd>
          <dt>Last proven readable</dt>
          <dd>${instant(readableAt)}</dd>
        </dl>
      </div>`;
    })}
  </section>`;
}

function kept({ tenant, base }: ConsentView): Html {
  return html`<section aria-labelledby="kept">
    <h2 id="kept">What is kept, and for how long</h2>
    <ul>
      <li>
        Events as the limit above leaves them: as long as the calendar shows them. What is left out is never stored.
      </li>
      <li>
        After access was withdrawn:
        ${
          tenant.keepWithdrawnDays === 0
            ? 'events stay until the operator removes them'
            : `events go after ${tenant.keepWithdrawnDays} days`
        }.
        The operator can remove all at once (<code>calendar-sync forget ${tenant.id}</code>) and gets a report of what
        was removed where.
      </li>
      <li>Removed entries lie in a trash for 30 days; backups expire by themselves.</li>
      <li>Keys and secrets are encrypted. Access tokens are kept in memory, for about an hour.</li>
      <li>What was done on this page, and when, is written down and kept.</li>
    </ul>
    <p class="screen"><a href="${base.replace(/\/consent$/, '/privacy')}">More on privacy</a></p>
  </section>`;
}

/** A page that says one thing: an expired link, a refusal, thanks. */
export function messagePage(notice: Notice): string {
  return page(
    notice.title,
    html`<h1>calendar-sync</h1>
      ${noticeBox(notice)}`,
  );
}
