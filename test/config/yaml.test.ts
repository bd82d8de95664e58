import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';

import { ConfigError, faultLine } from '../../src/config/faults.ts';
import type { Model } from '../../src/config/model.ts';
import { parseModel } from '../../src/config/yaml.ts';
import { certificateAuthority } from '../support/certificate-authority.ts';
import { selfSigned } from '../support/graph/self-signed.ts';

const variables: Record<string, string> = {
  CONTOSO_SECRET: 'contoso-secret',
  BAIKAL_PASSWORD: 'baikal-password',
  ICLOUD_PASSWORD: 'icloud-password',
  FLOW_KEY: 'a-flow-key-of-some-length',
  KEY_PASSWORD: 'open-sesame',
};

const agency = selfSigned();
const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' });
/** PEM files beside the configuration. */
const files: Readonly<Record<string, string>> = {
  'agency.pem': agency.certificate,
  'agency.key': agency.privateKey,
  'other.key': selfSigned().privateKey,
  'sealed.key': createPrivateKey(agency.privateKey)
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open-sesame' })
    .toString(),
  'damaged.key': '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n',
  'curve.pem': certificateAuthority().issueFor('agency', curve.publicKey),
  'curve.key': curve.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
};

const TENANT = `
tenants:
  - { id: contoso, cloud: global, directory: contoso.example, client: 1d2e0000-0000-4000-8000-000000000002, secret: s }`;
const TARGET = `
targets:
  - { id: me, url: 'https://dav.example/', username: me, password: p, calendars: [ { id: work, name: Work } ] }`;

describe('the example file', () => {
  const model = parse(readFileSync(join(import.meta.dirname, '../../calendars.example.yaml'), 'utf8'));

  it('is read whole, variables and PEM files included', () => {
    expect(model.clouds).toEqual([
      { id: 'lab', login: 'https://login.lab.example:8443', graph: 'https://graph.lab.example:8444', portal: null },
    ]);
    expect(model.tenants).toMatchObject([
      { id: 'contoso', ceiling: 'full', credential: { kind: 'secret', secret: 'contoso-secret' } },
      { id: 'agency', ceiling: 'title', credential: { kind: 'certificate', privateKey: pem('agency.key') } },
    ]);
    expect(model.targets).toMatchObject([
      {
        id: 'me',
        password: 'baikal-password',
        dedupe: 'target',
        drift: 'repair',
        calendars: [{}, {}, { color: null }],
      },
    ]);
    expect(model.sources.map(({ id, kind, everySeconds }) => [id, kind, everySeconds])).toEqual([
      ['contoso-me', 'graph', 60],
      ['agency-me', 'graph', 60],
      ['icloud-home', 'caldav', 60],
      ['holidays', 'ics', 43_200],
      ['old-flow', 'powerautomate', 3_600],
    ]);
    expect(model.sources.map(({ staleAfterSeconds }) => staleAfterSeconds)).toEqual([
      undefined,
      undefined,
      undefined,
      259_200,
      undefined,
    ]);
  });

  it('leaves the defaults to the product', () => {
    expect(model.sources[1]).toEqual({
      id: 'agency-me',
      kind: 'graph',
      tenant: 'agency',
      mailbox: 'me@agency.example',
      calendar: 'default',
      into: { target: 'me', calendar: 'agency' },
      privacy: 'busy',
      privateItems: 'busy',
      titleTag: '[A] ',
      reminders: 'source',
      filters: {
        declined: 'hide',
        free: 'show',
        tentative: 'show',
        cancelled: 'show',
        allDay: 'show',
        titles: [],
        categories: [],
        sensitivities: [],
        hours: null,
      },
      priority: 100,
      window: { pastDays: 90, futureDays: 730 },
      keepPast: true,
      everySeconds: 60,
      isPaused: false,
    });
    expect(model.sources[2]).toMatchObject({ url: 'https://caldav.icloud.com/', password: 'icloud-password' });
  });
});

describe('a file with faults', () => {
  it('is refused with all of them, each at its line and column', () => {
    const lines = faultsOf(`sorces: []
tenants:
  - { id: Contoso, cloud: globl, directory: common, client: me, secret: s }
  - id: agency
    cloud: gcch
    directory: agency.example
    client: 1d2e0000-0000-4000-8000-000000000002
    access: tenant-wide
targets:
  - id: me
    url: ftp://dav.example
    username: me
    password: 12345
    calendars: [ { id: work, name: Work, color: blue }, { id: home } ]
  - { id: me, url: 'https://dav.example/', username: me, password: p, calendars: [] }
sources:
  - { id: a, kind: outlook, into: me/work }
  - { id: b, kind: graph, tenant: agency, mailbox: me, into: work, privcy: busy }
  - id: c
    kind: ics
    url: https://feeds.example/a.ics
    into: me/work
    every: soon
    reminders: sometimes
    filters: { titles: ['('], hours: { zone: Mars, from: 9:00, to: '18:00' } }
    window: { pastDays: -1 }
`);
    expect(lines).toEqual([
      'calendars.yaml:1:1: sorces: is unknown. Is sources meant?',
      'calendars.yaml:3:11: tenants.Contoso.id: "Contoso" is no id. Use small letters, digits and hyphens between them, 63 at most.',
      'calendars.yaml:3:27: tenants.Contoso.cloud: there is no cloud "globl". Choose one of global, gcc, gcch, dod, china, or describe it under clouds.',
      'calendars.yaml:3:45: tenants.Contoso.directory: "common" names no single directory. Give the directory (tenant) id, or a verified domain.',
      'calendars.yaml:3:61: tenants.Contoso.client: "me" is no application id. Copy the "Application (client) ID" of the app registration.',
      'calendars.yaml:4:5: tenants.agency: has no credential. Give one: secret, certificate, or signIn: delegated.',
      'calendars.yaml:8:13: tenants.agency.access: "tenant-wide" is not possible in the cloud gcch. Set access: scoped, and let Exchange RBAC for Applications name the mailboxes.',
      'calendars.yaml:11:10: targets.me.url: "ftp://dav.example" is no http or https URL. Write it like https://dav.example/dav.php/.',
      'calendars.yaml:13:15: targets.me.password: is no text. Put it in quotes.',
      'calendars.yaml:14:49: targets.me.calendars.work.color: "blue" is no colour. Write it like "#3366cc", with the quotes.',
      'calendars.yaml:14:57: targets.me.calendars.home.name: is missing. Add it; docs/configuration.md describes the format.',
      'calendars.yaml:15:11: targets.me.id: "me" is taken already, in line 10. Give each entry an id of its own.',
      'calendars.yaml:15:82: targets.me.calendars: are none. Name one at least.',
      'calendars.yaml:17:20: sources.a.kind: "outlook" is no kind of source. Choose graph, caldav, ics or powerautomate.',
      'calendars.yaml:18:52: sources.b.mailbox: "me" is no mail address. Write it like me@example.com.',
      'calendars.yaml:18:62: sources.b.into: "work" names no calendar. Write it like me/work: target, then calendar.',
      'calendars.yaml:18:68: sources.b.privcy: is unknown. Is privacy meant?',
      'calendars.yaml:23:12: sources.c.every: "soon" is no duration from 10s to 7d. Write it like 60s, 15m, 12h or 7d.',
      'calendars.yaml:24:16: sources.c.reminders: is none of source, none, or minutes before the start. Choose one.',
      'calendars.yaml:25:25: sources.c.filters.titles.1: "(" is no regular expression. Escape . * + ? ( ) [ ] { } | with \\.',
      'calendars.yaml:25:46: sources.c.filters.hours.zone: "Mars" is no time zone. Write it like Europe/Berlin.',
      'calendars.yaml:25:58: sources.c.filters.hours.from: "9:00" is no time. Write it like "08:00".',
      'calendars.yaml:26:25: sources.c.window.pastDays: -1 is no number of days. Give a whole number, 0 to 3650.',
    ]);
  });

  it('is refused with the place of broken YAML', () => {
    expect(faultsOf('tenants:\n  - { id: a\nsources: [')[0]).toMatch(/^calendars\.yaml:3:1: is no YAML: .*indent/);
    expect(faultsOf('- a list')).toEqual([
      'calendars.yaml:1:1: is no mapping. Write "name: value" pairs; docs/configuration.md describes the format.',
    ]);
    expect(faultsOf('sources: { a: b }')).toEqual([
      'calendars.yaml:1:10: sources: is no list. Begin each entry with "- ".',
    ]);
  });

  it('never quotes a secret, written out or filled in', () => {
    const secrets = `
  - { id: a, kind: powerautomate, mailbox: me@x.example, key: hunter2, into: me/work }
  - { id: b, kind: caldav, url: 'https://x.example', username: '', password: '', calendar: c, into: me/work }
  - { id: c, kind: ics, url: 'hunter2\${BAIKAL_PASSWORD}', into: me/work }`;
    const lines = faultsOf(`${TARGET}\nsources:${secrets}`);
    expect(lines).toHaveLength(4);
    expect(lines.join('\n')).not.toMatch(/hunter2|baikal-password/);
    expect(lines[3]).toContain('sources.c.url: is no http or https URL');
  });
});

describe('a reference to a variable', () => {
  it('may be a part of a text', () => {
    const url = "'https://feeds.example/${FLOW_KEY}/a.ics'";
    const model = parse(`${TARGET}\nsources: [ { id: a, kind: ics, url: ${url}, into: me/work } ]`);
    expect(model.sources).toMatchObject([{ url: 'https://feeds.example/a-flow-key-of-some-length/a.ics' }]);
  });

  it('is a fault that names the variable when it is not set', () => {
    const [line] = faultsOf(TARGET.replace('password: p', "password: '${NOWHERE}'"));
    expect(line).toMatch(
      /^calendars\.yaml:3:\d+: targets\.me\.password: needs \$\{NOWHERE\}, which is not set\. Set NOWHERE in the environment/,
    );
  });
});

describe('what no entry can tell alone', () => {
  it.each([
    ['an unknown cloud', TENANT.replace('global', 'moon'), 'cloud: there is no cloud "moon"'],
    [
      'a built-in cloud described again',
      'clouds: { gcc: { login: https://a.example, graph: https://b.example } }',
      '"gcc" is built in',
    ],
    ['an unknown tenant', graphSource('tenant: contso'), 'tenant: there is no tenant "contso". Choose one of contoso.'],
    ['an unknown target', graphSource('into: you/work'), 'into: there is no target "you". Choose one of me'],
    ['an unknown calendar', graphSource('into: me/play'), 'the target me has no calendar "play". Choose one of work.'],
    [
      'more detail than the ceiling',
      graphSource('privacy: title', 'ceiling: busy'),
      '"title" shows more than the ceiling "busy"',
    ],
    [
      'silence on privacy in a government cloud',
      graphSource('', 'cloud: gcc'),
      'privacy: is missing, and the cloud gcc has no default',
    ],
    [
      'a calendar of ours as a source',
      davSource('https://dav.example/dav.php', 'Work'),
      'is the calendar me/work that this service writes: a loop',
    ],
    ['the same by its address', davSource('https://dav.example', 'https://dav.example/calendars/me/work/'), 'a loop'],
    [
      'ids that differ in case only',
      `${TENANT}${TENANT.replace('\ntenants:', '').replace('contoso,', 'Contoso,')}`,
      '"Contoso" is taken already',
    ],
    [
      'a certificate with the key of another',
      certificate('agency.pem', 'other.key'),
      'certificate: has a key that belongs to another certificate. Give the key that was made together',
    ],
    ['a key in place of the certificate', certificate('agency.key', 'agency.key'), 'holds no PEM certificate'],
    ['a certificate in place of the key', certificate('agency.pem', 'agency.pem'), 'has no PEM private key'],
    ['a damaged key', certificate('agency.pem', 'damaged.key'), 'has a private key that is damaged'],
    [
      'an encrypted key',
      certificate('agency.pem', 'sealed.key'),
      'has an encrypted key. Give its password as password',
    ],
    [
      'an encrypted key with a wrong password',
      certificate('agency.pem', 'sealed.key, password: hunter2'),
      'has a key that the password does not open',
    ],
    ['a pair that is no RSA pair', certificate('curve.pem', 'curve.key'), 'is no RSA key, which Entra does not take'],
    [
      'an id that the address of the consent pages needs',
      TENANT.replace('id: contoso', 'id: callback'),
      'tenants.callback.id: "callback" is taken: Microsoft leads back to /consent/callback. Choose another id.',
    ],
    [
      'a certificate that is not there',
      certificate('nowhere.pem', 'agency.key'),
      'certificate.file: nowhere.pem cannot be read',
    ],
    ['two credentials', TENANT.replace('secret: s', 'secret: s, signIn: delegated'), 'has secret and signIn'],
  ])('such as %s is a fault', (_, text, fault) => {
    const lines = faultsOf(text);
    expect(lines.join('\n')).toContain(fault);
  });

  it('is told at once with the faults that an entry has by itself', () => {
    const lines = faultsOf(`tenants:
  - { id: contoso, cloud: moon, directory: nonsense, client: 1d2e0000-0000-4000-8000-000000000002, secret: s }${TARGET}
sources:
  - { id: a, kind: graph, tenant: contso, mailbox: nobody, into: you/work }
  - { id: b, kind: graph, tenant: contoso, mailbox: nobody, into: me/play }`);
    const fields = lines.map((line) => /: ((?:tenants|sources)\.\S+):/.exec(line)?.[1]);
    expect(fields.toSorted()).toEqual([
      'sources.a.into',
      'sources.a.mailbox',
      'sources.a.tenant',
      'sources.b.into',
      'sources.b.mailbox',
      'tenants.contoso.cloud',
      'tenants.contoso.directory',
    ]);
  });

  it('is not told of entries whose other end is faulty itself', () => {
    const lines = faultsOf(graphSource('', 'client: nonsense'));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('tenants.contoso.client');
  });

  it('takes an encrypted key with its password, and keeps it as Entra is signed in to by it', () => {
    const text = certificate('agency.pem', "sealed.key, password: '${KEY_PASSWORD}'");
    const credential = parse(text).tenants[0]?.credential;
    expect(credential).toEqual({ kind: 'certificate', certificate: pem('agency.pem'), privateKey: pem('agency.key') });
  });

  it('takes a ceiling as the privacy of sources that say nothing', () => {
    expect(parse(graphSource('', 'ceiling: title')).sources).toMatchObject([{ privacy: 'title' }]);
    expect(parse(graphSource('')).sources).toMatchObject([{ privacy: 'full' }]);
  });

  it('lets a calendar on the same server but of another account be read', () => {
    expect(
      parse(davSource('https://dav.example', 'Work').replace('username: Me', 'username: you')).sources,
    ).toHaveLength(1);
  });
});

function graphSource(source: string, tenant = ''): string {
  const settings = ['tenant: contoso', 'into: me/work', source].filter((line) => line !== '');
  const own = new Map(settings.map((line) => [line.split(':')[0], line]));
  const head =
    tenant === ''
      ? TENANT
      : TENANT.replace(new RegExp(`, ${tenant.split(':')[0] ?? ''}: [^,]+|, secret`), (found) =>
          found === ', secret' ? `, ${tenant}, secret` : `, ${tenant}`,
        );
  return `${head}${TARGET}
sources:
  - { id: a, kind: graph, mailbox: me@contoso.example, ${[...own.values()].join(', ')} }`;
}

function davSource(url: string, calendar: string): string {
  return `${TARGET}
sources:
  - { id: a, kind: caldav, url: '${url}', username: Me, password: p, calendar: '${calendar}', into: me/work }`;
}

function certificate(file: string, key: string): string {
  return TENANT.replace('secret: s', `certificate: { file: ${file}, key: ${key} }`);
}

function pem(name: string): string {
  const text = files[name];
  if (text === undefined) throw new Error(`There is no ${name}.`);
  return text;
}

function parse(text: string): Model {
  return parseModel(text, { file: 'calendars.yaml', lookUp: (name) => variables[name], readText: pem });
}

function faultsOf(text: string): string[] {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.map(faultLine);
    throw error;
  }
  return [];
}
