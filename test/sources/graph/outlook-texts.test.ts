import { describe, expect, it } from '@jest/globals';

import { findJoinLink, unwrapSafeLink } from '../../../src/calendar/join-link.ts';
import {
  cap,
  cleanLine,
  cleanText,
  isAddress,
  placeholderAddress,
  safeUri,
  textOfHtml,
} from '../../../src/calendar/text.ts';
import { cleanUid } from '../../../src/calendar/uid.ts';
import { zoneOf } from '../../../src/calendar/windows-zones.ts';

describe('names of zones', () => {
  it.each([
    ['W. Europe Standard Time', 'Europe/Berlin'],
    ['w. europe standard time', 'Europe/Berlin'],
    ['Bahia Standard Time', 'America/Bahia'],
    ['Central America Standard Time', 'America/Guatemala'],
    ['GMT Standard Time', 'Europe/London'],
    ['Greenwich Standard Time', 'Atlantic/Reykjavik'],
    ['UTC+12', 'Etc/GMT-12'],
    ['Pacific Standard Time (Mexico)', 'America/Tijuana'],
    ['Kamchatka Standard Time', 'Asia/Kamchatka'],
    ['Mid-Atlantic Standard Time', 'Etc/GMT+2'],
    ['Mountain Standard Time (Mexico)', 'America/Mazatlan'],
    ['Central Asia Standard Time', 'Asia/Bishkek'],
    ['(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna', 'Europe/Berlin'],
    ['(GMT-08:00) Pacific Time (US & Canada)', 'America/Los_Angeles'],
    ['(UTC+00:00) Dublin, Edinburgh, Lisbon, London', 'Europe/London'],
    ['tzone://Microsoft/Pacific Standard Time', 'America/Los_Angeles'],
    ['Europe/Kyiv', 'Europe/Kiev'],
    ['Europe/Kyiv (Kiev)', 'Europe/Kiev'],
    ['Asia/Kolkata', 'Asia/Calcutta'],
    ['europe/berlin', 'Europe/Berlin'],
  ])('%s is %s', (name, zone) => {
    expect(zoneOf(name)).toEqual({ kind: 'zone', zone });
  });

  it.each([
    null,
    undefined,
    '',
    ' ',
    'UTC',
    'utc',
    'Z',
    'Etc/UTC',
    'tzone://Microsoft/Utc',
    '(UTC) Coordinated Universal Time',
  ])('%s is UTC', (name) => {
    expect(zoneOf(name)).toEqual({ kind: 'utc' });
  });

  it.each([
    'tzone://Microsoft/Custom',
    'Customized Time Zone',
    '(UTC+01:00)',
    '+01:00',
    '(UTC+01:00) Atlantis',
    'x'.repeat(9_999),
  ])('%s is not known, whatever its offset says', (name) => {
    expect(zoneOf(name)).toEqual({ kind: 'unknown', name });
  });
});

describe('texts', () => {
  it('lose what breaks a calendar file and keep what people wrote', () => {
    expect(cleanText('a\r\nb\rc\u2028d\u0000\u0007\u0085\uFEFF\uFFFE\uDC00\te👍')).toBe('a\nb\nc\nd\te👍');
    expect(cleanLine(' one \r\n two\tthree \u202Efour\u2069 ')).toBe('one two three four');
  });

  it('are cut between graphemes', () => {
    expect(cap('a'.repeat(8) + '👩‍👩‍👧', 10)).toBe('a'.repeat(8));
    expect(cap('abcdef', 6)).toBe('abcdef');
    expect(cap('abcdefg', 5, '…')).toBe('abcd…');
  });

  it('come out of HTML as they read', () => {
    expect(
      textOfHtml(
        '<h1>Plan</h1><ul><li>a</li><li>b</li></ul><img src="x" alt="pic"><a href="https://a.example">https://a.example</a>',
      ),
    ).toBe('Plan\n\n * a\n * b\n\nhttps://a.example');
  });

  it.each([
    ['a million open elements', '<div>'.repeat(1_000_000)],
    ['a million beginnings of tags', '<i'.repeat(500_000)],
    ['a million blanks', `a${' '.repeat(1_000_000)}b`],
    ['five megabytes', '<p>word</p>'.repeat(450_000)],
  ])('come out of HTML in good time: %s', (_, html) => {
    const before = performance.now();
    textOfHtml(html);
    expect(performance.now() - before).toBeLessThan(5_000);
  });
});

describe('addresses and links', () => {
  it('of mail have one at-sign and no blanks', () => {
    expect(['a@b', 'ä@b.example', "o'brien@x.example"].every(isAddress)).toBe(true);
    expect(['', 'a', 'a b@c', '<a@b>', '"a"@b', 'a@b\n', '/O=X/CN=Y', `${'a'.repeat(400)}@b`].some(isAddress)).toBe(
      false,
    );
    expect(placeholderAddress('/O=X/CN=Y')).toBe(placeholderAddress('/o=x/cn=y'));
  });

  it('are emitted only in the schemes that we allow', () => {
    expect(safeUri(' https://a.example/x?y=1#z ')).toBe('https://a.example/x?y=1#z');
    expect(safeUri('tel:+49301234,,12#', ['tel'])).toBe('tel:+49301234,,12#');
    for (const uri of [
      'http://a.example',
      'javascript:alert(1)',
      'data:text/html,x',
      'https://a.example/ b',
      'a',
      null,
    ]) {
      expect(safeUri(uri)).toBeNull();
    }
    expect(safeUri(`https://a.example/${'x'.repeat(2_000)}`)).toBeNull();
  });

  it.each([
    'https://teams.microsoft.com/l/meetup-join/19%3ameeting_x%40thread.v2/0?context=%7b%7d',
    'https://gov.teams.microsoft.us/l/meetup-join/19%3a',
    'https://dod.teams.microsoft.us/l/meetup-join/19%3a',
    'https://teams.live.com/meet/9412',
    'https://us02web.zoom.us/j/123?pwd=x',
    'https://agency.zoomgov.com/j/123',
    'https://meet.google.com/abc-defg-hij',
    'https://corp.webex.com/corp/j.php?MTID=m1',
  ])('join a meeting: %s', (link) => {
    expect(findJoinLink(`Join here: <a href="${link.replaceAll('&', '&amp;')}">Join</a>.`)).toBe(link);
    expect(findJoinLink(`Join ${link}.`)).toBe(link);
  });

  it('are unwrapped only where Defender wrapped them', () => {
    const inner = 'https://teams.microsoft.com/l/meetup-join/1';
    const wrapped = (host: string) => `https://${host}/?url=${encodeURIComponent(inner)}&data=1`;
    expect(unwrapSafeLink(wrapped('nam02.safelinks.protection.outlook.com'))).toBe(inner);
    expect(unwrapSafeLink(wrapped('gcc02.safelinks.protection.office365.us'))).toBe(inner);
    expect(unwrapSafeLink(wrapped('safelinks.protection.outlook.com.evil.example'))).not.toBe(inner);
  });
});

describe('ids of meetings', () => {
  const series = '040000008200E00074C5B7101A82E00800000000AA01';

  it('are the same for a series and each of its dates', () => {
    expect(cleanUid('040000008200e00074c5b7101a82e00807ea050caa01')).toEqual({ uid: series, date: '2026-05-12' });
    expect(cleanUid(series)).toEqual({ uid: series, date: null });
  });

  it('of other programs stay as they are', () => {
    expect(cleanUid(' abc@google.com\n')).toEqual({ uid: 'abc@google.com', date: null });
    expect(cleanUid('')).toBeNull();
    expect(cleanUid('x'.repeat(1_001))).toBeNull();
  });
});
