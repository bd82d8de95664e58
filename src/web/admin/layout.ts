import { wholePage } from '../whole-page.ts';
import { html, Html } from '../html.ts';

/** Pages of the operator: where each is, and what it is called. */
const places = [
  { path: '', name: 'Overview' },
  { path: 'held', name: 'Held' },
  { path: 'conflicts', name: 'Conflicts' },
  { path: 'meetings', name: 'Meetings' },
  { path: 'trash', name: 'Trash' },
  { path: 'history', name: 'History' },
  { path: 'audit', name: 'Audit' },
] as const;

export interface Frame {
  readonly title: string;
  /** One of the places, or null for a page beside them. */
  readonly at: string | null;
  /** Way to the root of the pages, relative to this one: `./` or `../../`; a proxy may show them below any path. */
  readonly root: string;
  /** What has just been done, to be told above. */
  readonly done?: string | null;
  readonly isSignedIn: boolean;
}

/** A whole page: no script, nothing from elsewhere. */
export function frame({ title, at, root, done = null, isSignedIn }: Frame, body: Html): string {
  const links = places.map(
    ({ path, name }) =>
      html`<li><a href="${root}${path}" ${path === at ? new Html('aria-current="page"') : null}>${name}</a></li>`,
  );
  return wholePage(
    title,
    html`<a class="skip" href="#main">To the content</a>
      ${
        isSignedIn &&
        html`<header>
          <nav aria-label="Pages">
            <ul>
              ${links}
            </ul>
          </nav>
          <form method="post" action="${root}sign-out"><button class="second">Sign out</button></form>
        </header>`
      }
      <main id="main" class="wide" tabindex="-1">
        <h1>${title}</h1>
        ${done !== null && html`<p class="notice good" role="status">${done}</p>`} ${body}
      </main>`,
  );
}

/** A table with a caption; wide ones scroll within themselves, by keyboard too. */
export function tableOf(
  caption: string,
  header: readonly string[],
  rows: readonly (readonly (Html | string | number)[])[],
): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}">
    <table>
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${header.map((title) => html`<th scope="col">${title}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (cells) =>
            html`<tr>
              ${cells.map((cell) => html`<td>${cell}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** `2026-11-25T10:00:00Z` for people; empty for what never was. */
export function when(instant: string | null): Html {
  if (instant === null) return html`<span class="soft">never</span>`;
  return html`<time datetime="${instant}">${instant.slice(0, 10)} ${instant.slice(11, 19)}</time>`;
}

export interface Button {
  readonly label: string;
  /** Whom it concerns, for those who do not see the row that it stands in. */
  readonly about: string;
  readonly isSecond?: boolean;
}

/** A form of one button, with what it sends. */
export function button(
  action: string,
  fields: Readonly<Record<string, string>>,
  { label, about, isSecond }: Button,
): Html {
  return html`<form method="post" action="${action}">
    ${Object.entries(fields).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`)}
    <button class="${isSecond === true ? 'second' : 'first'}" aria-label="${label}: ${about}">${label}</button>
  </form>`;
}
