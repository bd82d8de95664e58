import type { Cloud } from '../../shared/clouds.ts';
import { wholePage } from '../whole-page.ts';
import { html, type Html } from '../html.ts';

export interface Notice {
  readonly kind: 'good' | 'bad' | 'note';
  readonly title: string;
  readonly text: string;
}

/** A whole page. */
export function page(title: string, body: Html): string {
  return wholePage(title, html`<main>${body}</main>`);
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
