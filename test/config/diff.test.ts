import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';

import { defaultFilters } from '../../src/calendar/filters.ts';
import { affectedSources, type ConfigChange, consequencesOf, diffModels } from '../../src/config/diff.ts';
import type { GraphSource, Model, SourceConfig, Target, Tenant } from '../../src/config/model.ts';
import { parseModel } from '../../src/config/yaml.ts';
import { selfSigned } from '../support/graph/self-signed.ts';

const { certificate, privateKey } = selfSigned();
const pem = (name: string): string => (name.endsWith('.key') ? privateKey : certificate);
const example = parseModel(readFileSync(join(import.meta.dirname, '../../calendars.example.yaml'), 'utf8'), {
  file: 'calendars.example.yaml',
  lookUp: (name) => `hunter2-hunter2-${name}`,
  readText: pem,
});
const empty: Model = { clouds: [], tenants: [], targets: [], sources: [] };

describe('the difference between two configurations', () => {
  it('is none between equal ones', () => {
    expect(diffModels(example, structuredClone(example), { prune: true })).toEqual([]);
  });

  it('adds in the order in which entries need one another', () => {
    expect(sentences(diffModels(empty, example, { prune: false }))).toEqual([
      'cloud lab is added',
      'tenant contoso is added',
      'tenant agency is added',
      'target me is added',
      'source contoso-me is added',
      'source agency-me is added',
      'source icloud-home is added',
      'source holidays is added',
      'source old-flow is added',
    ]);
  });

  it('removes nothing unless told to, and says what it keeps', () => {
    const fewer = { ...example, tenants: example.tenants.slice(0, 1), sources: example.sources.slice(0, 1) };
    const kept = diffModels(example, fewer, { prune: false });
    expect(kept.map(({ kind }) => kind)).toEqual(['keep', 'keep', 'keep', 'keep', 'keep']);
    expect(kept[0]?.sentence).toBe('source agency-me is not in the file and stays; --prune would remove it');
    expect(kept.map(consequencesOf)).not.toContainEqual(expect.objectContaining({ bumpsEpoch: true }));
    expect(sentences(diffModels(example, fewer, { prune: true }))).toEqual([
      'source agency-me is removed',
      'source icloud-home is removed',
      'source holidays is removed',
      'source old-flow is removed',
      'tenant agency is removed',
    ]);
  });

  it('names each field that changes, with both values', () => {
    const wanted = withSource({ privacy: 'title', filters: { ...defaultFilters, free: 'hide', titles: ['lunch'] } });
    expect(sentences(diffModels(example, wanted, { prune: false }))).toEqual([
      'source contoso-me: privacy from "full" to "title"; filters.free from "show" to "hide"; filters.titles from [] to ["lunch"]',
    ]);
  });

  it('names calendars of a target by their ids', () => {
    const calendars = [
      { id: 'work', name: 'Office', color: null },
      { id: 'home', name: 'Home', color: null },
      { id: 'play', name: 'Play', color: null },
    ];
    expect(sentences(diffModels(example, withTarget({ calendars }), { prune: false }))).toEqual([
      'target me: calendars.work.name from "Work" to "Office"; calendars.work.color removed, it was "#3366cc"; ' +
        'calendars.agency.name removed, it was "Agency"; calendars.agency.color removed, it was "#aa3333"; ' +
        'calendars.play.name set to "Play"',
    ]);
  });

  it('names a changed secret and tells no value of it, old or new', () => {
    const changes = [
      ...diffModels(example, withTarget({ password: 'hunter3' }), { prune: false }),
      ...diffModels(example, withTenant({ credential: { kind: 'secret', secret: 'hunter3' } }), { prune: false }),
      ...diffModels(example, withTenant({ credential: null }), { prune: false }),
      ...diffModels(example, withFeed('https://feeds.example/hunter3.ics'), { prune: false }),
    ];
    expect(sentences(changes)).toEqual([
      'target me: password changed',
      'tenant contoso: credential.secret changed',
      'tenant contoso: credential.kind changed; credential.secret changed',
      'source holidays: url changed',
    ]);
    expect(JSON.stringify(changes)).not.toContain('hunter');
  });
});

describe('the consequences of a change to a source', () => {
  const tighten = { bumpsEpoch: true, fullReading: false, rerender: true };
  const read = { bumpsEpoch: false, fullReading: true, rerender: false };
  const elsewhere = { bumpsEpoch: true, fullReading: true, rerender: true };
  const rerender = { bumpsEpoch: false, fullReading: false, rerender: true };
  const nothing = { bumpsEpoch: false, fullReading: false, rerender: false };
  const filters = (some: Partial<SourceConfig['filters']>): Partial<GraphSource> => ({
    filters: { ...defaultFilters, ...some },
  });

  it.each<[string, Partial<GraphSource>, Partial<GraphSource>, object]>([
    ['tighter privacy', { privacy: 'full' }, { privacy: 'busy' }, tighten],
    ['looser privacy', { privacy: 'busy' }, { privacy: 'title' }, read],
    ['less of private items', { privateItems: 'full' }, { privateItems: 'skip' }, tighten],
    [
      'less of private items that cannot be told any more',
      { privacy: 'busy' },
      { privacy: 'busy', privateItems: 'skip' },
      elsewhere,
    ],
    ['more of private items', { privateItems: 'skip' }, { privateItems: 'busy' }, read],
    ['a filter that hides more', {}, filters({ free: 'hide' }), tighten],
    ['a filter that hides less', {}, filters({ declined: 'show' }), elsewhere],
    ['a filter of titles', {}, filters({ titles: ['x'] }), tighten],
    ['another filter of titles', filters({ titles: ['x'] }), filters({ titles: ['y'] }), elsewhere],
    [
      'a filter of titles that are not stored',
      { privacy: 'busy' },
      { privacy: 'busy', ...filters({ titles: ['x'] }) },
      elsewhere,
    ],
    [
      'a filter of categories that are not stored',
      { privacy: 'title' },
      { privacy: 'title', ...filters({ categories: ['x'] }) },
      elsewhere,
    ],
    ['a filter of times under busy', { privacy: 'busy' }, { privacy: 'busy', ...filters({ allDay: 'hide' }) }, tighten],
    ['hours', {}, filters({ hours: { zone: 'UTC', from: '08:00', to: '18:00' } }), tighten],
    ['another calendar of the target', {}, { into: { target: 'me', calendar: 'home' } }, tighten],
    ['another calendar to read', {}, { calendar: 'Team' }, elsewhere],
    ['another mailbox', {}, { mailbox: 'you@contoso.example' }, elsewhere],
    ['another window', {}, { window: { pastDays: 30, futureDays: 730 } }, read],
    ['a pause', {}, { isPaused: true }, { ...nothing, bumpsEpoch: true }],
    ['another tag', {}, { titleTag: '[C] ' }, rerender],
    ['other reminders', {}, { reminders: 10 }, rerender],
    ['another pace', {}, { everySeconds: 300 }, nothing],
    ['another limit', {}, { staleAfterSeconds: 600 }, nothing],
  ])('such as %s', (_, before, after, consequences) => {
    const [change] = diffModels(withSource(before), withSource(after), { prune: false });
    expect(change && consequencesOf(change)).toEqual(consequences);
  });

  it('are a full reading when it is new, and a refusal of its work under way when it goes', () => {
    const without = { ...example, sources: example.sources.slice(1) };
    const [added] = diffModels(without, example, { prune: true });
    const [removed] = diffModels(example, without, { prune: true });
    expect(added && consequencesOf(added)).toEqual(read);
    expect(removed && consequencesOf(removed)).toEqual(tighten);
  });
});

describe('a change to a tenant, a cloud or a target', () => {
  it('touches the sources that use it', () => {
    const touched = (wanted: Model): unknown[] =>
      diffModels(example, wanted, { prune: false }).map((change) => [
        affectedSources(change, wanted),
        consequencesOf(change),
      ]);
    expect(touched(withTenant({ directory: 'contoso.example' }))).toEqual([
      [['contoso-me'], { bumpsEpoch: true, fullReading: true, rerender: true }],
    ]);
    expect(touched(withTarget({ strategy: 'priority' }))).toEqual([
      [example.sources.map(({ id }) => id), { bumpsEpoch: false, fullReading: false, rerender: true }],
    ]);
    const moved = {
      ...example,
      clouds: example.clouds.map((cloud) => ({ ...cloud, graph: 'https://new.lab.example' })),
    };
    expect(touched(moved)).toEqual([[[], { bumpsEpoch: true, fullReading: true, rerender: true }]]);
  });
});

function withSource(some: Partial<GraphSource>): Model {
  return {
    ...example,
    sources: example.sources.map((source, index) => (index === 0 ? ({ ...source, ...some } as SourceConfig) : source)),
  };
}

function withFeed(url: string): Model {
  return {
    ...example,
    sources: example.sources.map((source) => (source.kind === 'ics' ? { ...source, url } : source)),
  };
}

function withTenant(some: Partial<Tenant>): Model {
  return {
    ...example,
    tenants: example.tenants.map((tenant, index) => (index === 0 ? { ...tenant, ...some } : tenant)),
  };
}

function withTarget(some: Partial<Target>): Model {
  return { ...example, targets: example.targets.map((target) => ({ ...target, ...some })) };
}

function sentences(changes: readonly ConfigChange[]): string[] {
  return changes.map(({ sentence }) => sentence);
}
