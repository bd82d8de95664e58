import { describe, expect, it } from '@jest/globals';

import { builtInClouds } from '../../src/shared/clouds.ts';
import type { AccessState } from '../../src/store/tenant-access.ts';
import { signInPage } from '../../src/web/admin/pages.ts';
import { privacyPage } from '../../src/web/consent/privacy-page.ts';
import { messagePage, sheetPage, tenantPage } from '../../src/web/consent/tenant-page.ts';
import type { ConsentView } from '../../src/web/consent/view.ts';

const [cloud] = builtInClouds;
const now = new Date('2026-11-25T12:00:00Z');

function aView(access: ConsentView['tenant']['access'], state: AccessState): ConsentView {
  if (cloud === undefined) throw new Error('There is no cloud.');
  const told = { code: 'graph.access_denied', reason: 'It was refused.', remedy: 'Grant it.' };
  const mailbox = { ...told, state: 'refused', readableAt: null, lastReadAt: now, privacy: 'full' } as const;
  return {
    base: '/consent',
    tenant: { id: 'a', name: 'A', directory: 'a.example', client: 'c', access, ceiling: 'full', keepWithdrawnDays: 30 },
    cloud,
    access: {
      tenantId: 'a',
      state,
      grantedAt: now,
      grantedBy: null,
      declinedAt: null,
      controlMailbox: 'boss@a.example',
      controlState: 'unknown',
      ceiling: 'title',
      ceilingAt: now,
      provenAt: null,
      triedAt: now,
      failures: 0,
      ...told,
    },
    mailboxes: ['ann@a.example', 'bo@a.example'].map((address) => ({ mailbox: address, ...mailbox })),
    signIns: [{ mailbox: 'ann@a.example', username: 'ann@a.example', signedInAt: now, expiresAt: now }],
    certificate: '-----BEGIN CERTIFICATE-----',
    redirectUri: 'https://calendar.example/consent/callback',
    expiresAt: now,
    notice: { kind: 'bad', title: 'No', text: 'It was not.' },
  };
}

const states = [
  'unasked',
  'declined',
  'propagating',
  'proven',
  'partial',
  'undone',
  'unreadable',
  'withdrawn',
] as const;
const pages: [string, string][] = [
  ...(['scoped', 'tenant-wide', 'delegated'] as const).flatMap((way) =>
    states.map((state): [string, string] => [`${way}, ${state}`, tenantPage(aView(way, state))]),
  ),
  ['the sheet to print', sheetPage(aView('scoped', 'unasked'))],
  ['privacy', privacyPage({ history: 90, trash: 30 })],
  ['a message', messagePage({ kind: 'bad', title: 'Closed', text: 'It is closed.' })],
  ['the operator signs in', signInPage('That is not the key.')],
];

const all = (page: string, pattern: RegExp): string[] => [...page.matchAll(pattern)].map(([, found = '']) => found);

describe.each(pages)('the page: %s', (_, page) => {
  it('has one first heading, no level left out, a language and a main part', () => {
    const levels = all(page, /<h([1-6])/g).map(Number);
    expect(levels.filter((level) => level === 1)).toHaveLength(1);
    levels.slice(1).forEach((level, index) => expect(level).toBeLessThanOrEqual((levels[index] ?? 0) + 1));
    expect(page).toContain('<html lang="en">');
    expect(page).toMatch(/<main[ >]/);
  });

  it('names all that can be filled in or pressed, no two things to press alike', () => {
    const labelled = new Set(all(page, /<label for="([^"]+)"/g));
    for (const field of all(page, /<((?:input|select|textarea)[^>]*)>/g)) {
      if (/type="hidden"/.test(field)) continue;
      const id = /id="([^"]+)"/.exec(field)?.[1];
      const isWithin = /type="(radio|checkbox)"/.test(field);
      expect(isWithin || (id !== undefined && labelled.has(id))).toBe(true);
    }
    const names = [...page.matchAll(/<button([^>]*)>([\s\S]*?)<\/button>/g)].map(
      ([, attributes = '', text = '']) => /aria-label="([^"]+)"/.exec(attributes)?.[1] ?? text.trim(),
    );
    expect(names.every((name) => name !== '')).toBe(true);
    expect(new Set(names).size).toBe(names.length);
  });

  it('refers to nothing that is not there, runs nothing and loads nothing', () => {
    const ids = all(page, / id="([^"]+)"/g);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of all(page, /aria-labelledby="([^"]+)"/g)) expect(ids).toContain(id);
    expect(page).not.toMatch(/<script|<img|<link|<iframe| src=| on[a-z]+=|@import|url\(/);
  });
});

describe.each(['light', 'dark'])('the style, %s', (scheme) => {
  const blocks = all(messagePage({ kind: 'note', title: 't', text: 't' }), /:root\{([^}]*--ink[^}]*)\}/g);
  const colours = new Map(
    [...(blocks[scheme === 'light' ? 0 : 1] ?? '').matchAll(/--(\w+):(#[0-9a-f]{3,6})/g)].map(
      ([, name = '', value = '']): [string, string] => [name, value],
    ),
  );
  const ratio = (one: string, other: string): number => {
    const [light = 0, dark = 0] = [one, other]
      .map((name) => luminance(colours.get(name) ?? ''))
      .toSorted((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };

  it.each(['ink', 'soft', 'link', 'good', 'bad', 'note'])('lets text in %s be read on each ground', (text) => {
    for (const ground of ['paper', 'raised']) expect(ratio(text, ground)).toBeGreaterThanOrEqual(4.5);
  });

  it('lets buttons, borders and the focus be seen', () => {
    expect(ratio('paper', 'link')).toBeGreaterThanOrEqual(4.5);
    for (const part of ['line', 'link', 'good', 'bad', 'note'])
      for (const ground of ['paper', 'raised']) expect(ratio(part, ground)).toBeGreaterThanOrEqual(3);
  });
});

/** WCAG 2.2, relative luminance. */
function luminance(hex: string): number {
  const digits =
    hex.length === 4
      ? (hex.slice(1).match(/./g) ?? []).map((digit) => digit + digit)
      : (hex.slice(1).match(/../g) ?? []);
  const [red = 0, green = 0, blue = 0] = digits.map((two) => {
    const part = Number.parseInt(two, 16) / 255;
    return part <= 0.039_28 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
