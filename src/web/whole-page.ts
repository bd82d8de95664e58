import { createHash } from 'node:crypto';
import { html, Html } from './html.ts';

/** What stands in the body of a page: everything, `main` included. */
export function wholePage(title: string, body: Html): string {
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
        ${body}
      </body>
    </html> `.text;
}

/**
 * The one style of all pages: no script, nothing from elsewhere. Contrast at least 4.5 to 1 for text and 3 to 1 for
 * borders of fields and for what has the focus, in both schemes (WCAG 2.2, 1.4.3 and 1.4.11); nothing to press is lower
 * than 24 px (2.5.8); nothing scrolls sideways at 320 px but tables and code, within themselves (1.4.10).
 */
const css = `
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#4a5361;--paper:#fff;--raised:#f3f5f8;--line:#767f8c;--link:#0b57b0;--good:#0c6b34;--bad:#a1161f;--note:#5f4a00}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf0;--soft:#b3bcc9;--paper:#14171b;--raised:#1f242b;--line:#8a94a3;--link:#8ab8ff;--good:#6fd495;--bad:#ff9c9c;--note:#e6c45c}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.55 system-ui,sans-serif;overflow-wrap:anywhere}
header{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:center;justify-content:space-between;padding:.5rem 1rem;border-bottom:1px solid var(--line);background:var(--raised)}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1rem;list-style:none;margin:0;padding:0}
nav li{margin:0}
nav a{display:inline-block;padding:.4rem 0;min-height:2.5rem}
nav a[aria-current]{color:var(--ink);font-weight:700;text-decoration:none;border-bottom:3px solid var(--link)}
main{max-width:46rem;margin:0 auto;padding:1.25rem 1rem 4rem}
main.wide{max-width:76rem}
main:focus{outline:none}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0 1rem}
h2{font-size:1.2rem;margin:2.25rem 0 .5rem}
h3{font-size:1rem;margin:1.25rem 0 .25rem}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem;background:var(--paper);padding:.5rem 1rem}
.soft{color:var(--soft)}
.good:not(.notice),.bad:not(.notice),.note:not(.notice){font-weight:600}
.good:not(.notice),.notice.good>h2{color:var(--good)}.bad:not(.notice),.notice.bad>h2{color:var(--bad)}.note:not(.notice),.notice.note>h2{color:var(--note)}
.notice{border:1px solid var(--line);border-left:.4rem solid var(--note);background:var(--raised);padding:.75rem 1rem;margin:1rem 0}
.notice.good{border-left-color:var(--good)}.notice.bad{border-left-color:var(--bad)}
.notice h2{margin:0 0 .25rem;font-size:1.05rem}
.notice p{margin:0}
.card,section.story{border:1px solid var(--line);padding:.5rem 1rem;margin:.75rem 0}
section.story{padding-bottom:1rem}section.story h2{margin-top:.75rem}
.scroll{overflow-x:auto;margin:.75rem 0}
table{border-collapse:collapse;width:100%;font-size:.94rem}
caption{text-align:left;font-weight:600;padding:.25rem 0}
th,td{text-align:left;vertical-align:top;padding:.45rem .9rem .45rem 0;border-bottom:1px solid var(--line);min-width:5.5rem}
th{color:var(--soft);font-weight:600;overflow-wrap:normal}
pre{background:var(--raised);border:1px solid var(--line);padding:.75rem;overflow-x:auto;font:.85rem/1.45 ui-monospace,monospace;max-height:26rem}
code{font-family:ui-monospace,monospace;font-size:.9em}
ol,ul{padding-left:1.4rem}li{margin:.35rem 0}
dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.25rem 1rem;margin:.75rem 0}
dt{color:var(--soft)}dd{margin:0}
@media(max-width:30rem){dl{grid-template-columns:1fr}dd{margin-bottom:.5rem}}
label{display:block;font-weight:600;margin:.75rem 0 .25rem}
label.choice{font-weight:400;display:flex;gap:.6rem;align-items:baseline;min-height:1.75rem}
input:not([type=hidden],[type=radio],[type=checkbox]),select,textarea{font:inherit;color:inherit;background:var(--paper);border:1px solid var(--line);padding:.5rem .6rem;min-height:2.75rem;max-width:100%}
input[type=email],textarea{width:100%}
input[type=radio],input[type=checkbox]{width:1.1rem;height:1.1rem;flex:none;accent-color:var(--link)}
textarea{font:.85rem/1.4 ui-monospace,monospace;min-height:6rem}
fieldset{border:1px solid var(--line);padding:.5rem 1rem 1rem;margin:.75rem 0}
legend{font-weight:600;padding:0 .25rem}
button,.button{display:inline-block;font:inherit;font-weight:600;min-height:2.75rem;padding:.45rem 1.1rem;margin:.6rem .5rem 0 0;border:2px solid var(--link);background:var(--link);color:var(--paper);text-decoration:none;cursor:pointer}
button.second,.button.second{background:transparent;color:var(--link)}
td form{display:inline-block;margin:0 .4rem .3rem 0}
form.ask{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:end;margin:.5rem 0 1rem}
form.ask>*{min-width:0;max-width:100%}
form.ask label,form.ask button,td button,header button{margin:0}
details{margin:.75rem 0}summary{cursor:pointer;font-weight:600;min-height:1.75rem}
@media print{:root{--ink:#000;--soft:#333;--paper:#fff;--raised:#fff;--link:#000}header,form,.skip,.screen{display:none}main,main.wide{max-width:none;padding:0}pre{max-height:none;white-space:pre-wrap}h2{break-after:avoid}tr,.card{break-inside:avoid}}
`;

/** Hash of the one style that the Content-Security-Policy lets through. */
export const styleHash = `sha256-${createHash('sha256').update(css).digest('base64')}`;
