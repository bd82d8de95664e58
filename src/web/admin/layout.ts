import { createHash } from 'node:crypto';
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
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} - calendar-sync</title>
        ${new Html(`<style>${css}</style>`)}
      </head>
      <body>
        <a class="skip" href="#main">To the content</a>
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
        <main id="main" tabindex="-1">
          <h1>${title}</h1>
          ${done !== null && html`<p class="notice" role="status">${done}</p>`} ${body}
        </main>
      </body>
    </html> `.text;
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

/** Contrast at least 4.5 to 1 for text and 3 to 1 for borders of fields, in both schemes (WCAG 2.2, 1.4.3 and 1.4.11). */
const css = `
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#4a5361;--paper:#fff;--raised:#f3f5f8;--line:#767f8c;--link:#0b57b0;--good:#0c6b34;--bad:#a1161f}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf0;--soft:#b3bcc9;--paper:#14171b;--raised:#1f242b;--line:#8a94a3;--link:#8ab8ff;--good:#6fd495;--bad:#ff9c9c}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.55 system-ui,sans-serif}
header{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:center;justify-content:space-between;padding:.5rem 1rem;border-bottom:1px solid var(--line);background:var(--raised)}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1rem;list-style:none;margin:0;padding:0}
nav a{display:inline-block;padding:.4rem 0;min-height:2.5rem}
nav a[aria-current]{color:var(--ink);font-weight:700;text-decoration:none;border-bottom:3px solid var(--link)}
main{max-width:76rem;margin:0 auto;padding:1rem 1rem 4rem}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0 1rem}
h2{font-size:1.2rem;margin:2rem 0 .5rem}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem;background:var(--paper);padding:.5rem 1rem}
.soft{color:var(--soft)}.good{color:var(--good);font-weight:600}.bad{color:var(--bad);font-weight:600}
.notice{border:1px solid var(--line);border-left:.4rem solid var(--good);background:var(--raised);padding:.75rem 1rem}
.notice.bad{border-left-color:var(--bad);font-weight:400}
.scroll{overflow-x:auto;margin:.75rem 0}
table{border-collapse:collapse;width:100%;font-size:.94rem}
caption{text-align:left;font-weight:600;padding:.25rem 0}
th,td{text-align:left;vertical-align:top;padding:.45rem .9rem .45rem 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere;min-width:5.5rem}
th{color:var(--soft);font-weight:600}
th{overflow-wrap:normal}
td form{display:inline-block;margin:0 .4rem .3rem 0}
form.ask{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:end;margin:.5rem 0 1rem}
label{display:block;font-weight:600}
input:not([type=hidden]),select{font:inherit;color:inherit;background:var(--paper);border:1px solid var(--line);padding:.5rem .6rem;min-height:2.75rem;max-width:100%}
button{font:inherit;font-weight:600;min-height:2.5rem;padding:.35rem 1rem;border:2px solid var(--link);background:var(--link);color:var(--paper);cursor:pointer}
button.second{background:transparent;color:var(--link)}
code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.25rem 1rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
section.story{border:1px solid var(--line);padding:.25rem 1rem 1rem;margin:1rem 0}
@media(max-width:30rem){dl{grid-template-columns:1fr}dd{margin-bottom:.5rem}}
@media print{:root{--ink:#000;--soft:#333;--paper:#fff;--raised:#fff;--link:#000}header,form,.skip{display:none}main{max-width:none}h2{break-after:avoid}tr{break-inside:avoid}}
`;

/** Hash of the one style that the Content-Security-Policy lets through. */
export const adminStyleHash = `sha256-${createHash('sha256').update(css).digest('base64')}`;
