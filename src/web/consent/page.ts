import { createHash } from 'node:crypto';
import type { Cloud } from '../../shared/clouds.ts';
import { html, Html } from '../html.ts';

export interface Notice {
  readonly kind: 'good' | 'bad' | 'note';
  readonly title: string;
  readonly text: string;
}

/** A whole page: no script, nothing from elsewhere. */
export function page(title: string, body: Html): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <meta name="color-scheme" content="light dark" />
        <title>${title}</title>
        ${new Html(`<style>${css}</style>`)}
      </head>
      <body>
        <main>${body}</main>
      </body>
    </html> `.text;
}

export function noticeBox({ kind, title, text }: Notice): Html {
  return html`<section class="notice ${kind}" role="${kind === 'bad' ? 'alert' : 'status'}">
    <h2>${title}</h2>
    <p>${text}</p>
  </section>`;
}

/** Text to be copied; can be scrolled by keyboard. */
export function code(text: string, label: string): Html {
  return html`<pre tabindex="0" role="region" aria-label="${label}"><code>${text}</code></pre>`;
}

export function instant(at: Date | null): Html {
  if (at === null) return html`never`;
  const iso = at.toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC</time>`;
}

/** Where the administrator works. */
export function portalOf({ portal }: Cloud): Html {
  return portal === null
    ? html`the portal of your cloud`
    : html`<a href="${portal}" rel="noreferrer">${new URL(portal).host}</a>`;
}

/** Contrast at least 4.5 to 1 for text and 3 to 1 for borders of fields, in both schemes (WCAG 2.2, 1.4.3 and 1.4.11). */
const css = `
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#4a5361;--paper:#fff;--raised:#f3f5f8;--line:#767f8c;--link:#0b57b0;--good:#0c6b34;--bad:#a1161f;--note:#5f4a00}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf0;--soft:#b3bcc9;--paper:#14171b;--raised:#1f242b;--line:#8a94a3;--link:#8ab8ff;--good:#6fd495;--bad:#ff9c9c;--note:#e6c45c}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.55 system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:46rem;margin:0 auto;padding:1.25rem 1rem 4rem}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0 1rem}
h2{font-size:1.2rem;margin:2.25rem 0 .5rem}
h3{font-size:1rem;margin:1.25rem 0 .25rem}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.soft{color:var(--soft)}
.notice{border:1px solid var(--line);border-left:.4rem solid var(--note);background:var(--raised);padding:.75rem 1rem;margin:1rem 0}
.notice h2{margin:0 0 .25rem;font-size:1.05rem}
.notice p{margin:0}
.notice.good{border-left-color:var(--good)}.notice.bad{border-left-color:var(--bad)}
.good>h2,.state.good{color:var(--good)}.bad>h2,.state.bad{color:var(--bad)}.note>h2,.state.note{color:var(--note)}
.state{font-weight:600}
pre{background:var(--raised);border:1px solid var(--line);padding:.75rem;overflow-x:auto;font:.85rem/1.45 ui-monospace,monospace;max-height:26rem}
code{font-family:ui-monospace,monospace;font-size:.9em}
ol,ul{padding-left:1.4rem}li{margin:.35rem 0}
dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.25rem 1rem;margin:.75rem 0}
dt{color:var(--soft)}dd{margin:0}
@media(max-width:30rem){dl{grid-template-columns:1fr}dd{margin-bottom:.5rem}}
.card{border:1px solid var(--line);padding:.5rem 1rem;margin:.75rem 0}
label{display:block;font-weight:600;margin:.75rem 0 .25rem}
label.choice{font-weight:400;display:flex;gap:.6rem;align-items:baseline}
input[type=email],textarea{width:100%;padding:.6rem;font:inherit;color:inherit;background:var(--paper);border:1px solid var(--line);min-height:2.75rem}
textarea{font:.85rem/1.4 ui-monospace,monospace;min-height:6rem}
fieldset{border:1px solid var(--line);padding:.5rem 1rem 1rem;margin:.75rem 0}
legend{font-weight:600;padding:0 .25rem}
button,.button{display:inline-block;font:inherit;font-weight:600;min-height:2.75rem;padding:.55rem 1.1rem;margin:.6rem .5rem 0 0;border:2px solid var(--link);background:var(--link);color:var(--paper);text-decoration:none;cursor:pointer}
button.second,.button.second{background:transparent;color:var(--link)}
details{margin:.75rem 0}summary{cursor:pointer;font-weight:600;min-height:1.75rem}
@media print{:root{--ink:#000;--soft:#333;--paper:#fff;--raised:#fff;--link:#000}form,.screen{display:none}pre{max-height:none;white-space:pre-wrap}main{max-width:none;padding:0}h2{break-after:avoid}}
`;

/** Hash of the one style that the Content-Security-Policy lets through. */
export const styleHash = `sha256-${createHash('sha256').update(css).digest('base64')}`;
