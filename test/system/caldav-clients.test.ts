/**
 * What we wrote as other people's programs read it: vdirsyncer keeps a folder in step, khal lists what is in it. Run by
 * test/system/caldav-servers.sh, which installs both; CALDAV_URL takes it to a real server.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { contentFingerprint } from '../../src/calendar/client-state.ts';
import { expandSeries } from '../../src/calendar/expand.ts';
import type { Series } from '../../src/calendar/series.ts';
import { anEntry, anOverride, aSeries, day, recurring, utc, zoned } from '../calendar/builders.ts';
import { aDeliveryWorld, type DeliveryWorld } from '../deliver/world.ts';

let world: DeliveryWorld;
let folder: string;
afterEach(async () => {
  await world.close();
  rmSync(folder, { recursive: true });
});

// Without the programs there is nothing to see; the script sets this.
const withPrograms = process.env['CALDAV_CLIENTS'] === undefined ? describe.skip : describe;

/** Its output. Not waited for with the event loop held: the server that it asks may be in this process. */
function run(program: string, ...args: string[]): Promise<string> {
  const env = {
    ...process.env,
    VDIRSYNCER_CONFIG: join(folder, 'vdirsyncer'),
    HOME: folder,
    TZ: 'UTC',
    LC_ALL: 'C.UTF-8',
  };
  return new Promise((resolve, reject) => {
    const child = execFile(program, args, { env, timeout: 60_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${program} ${args.join(' ')}: ${stdout}${stderr}`, { cause: error }));
    });
    child.stdin?.end('y\ny\ny\n'); // it asks before it makes a folder
  });
}

function settle(password: string, username: string): void {
  const real = process.env['CALDAV_URL'];
  writeFileSync(
    join(folder, 'vdirsyncer'),
    `[general]
status_path = "${folder}/status"
[pair p]
a = "dav"
b = "dir"
collections = ["${world.calendarId()}"]
conflict_resolution = "a wins"
[storage dav]
type = "caldav"
url = "${real ?? world.server.url}"
username = "${username}"
password = "${password}"
auth = "${process.env['CALDAV_AUTH'] ?? 'basic'}"
[storage dir]
type = "filesystem"
path = "${folder}/calendars/"
fileext = ".ics"
`,
  );
  writeFileSync(
    join(folder, 'khal'),
    `[calendars]
[[mirror]]
path = ${folder}/calendars/${world.calendarId()}/
[locale]
local_timezone = UTC
default_timezone = UTC
dateformat = %Y-%m-%d
longdateformat = %Y-%m-%d
timeformat = %H:%M
datetimeformat = %Y-%m-%d %H:%M
longdatetimeformat = %Y-%m-%d %H:%M
[sqlite]
path = ${folder}/khal.db
`,
  );
  mkdirSync(join(folder, 'calendars'), { recursive: true });
}

/** Bodies in the folder that vdirsyncer keeps, and on the server, by what they show. */
async function compareBodies(): Promise<void> {
  const at = join(folder, 'calendars', world.calendarId());
  const here = readdirSync(at).filter((name) => name.endsWith('.ics'));
  const shown = (bodies: Iterable<string>): string[] => [...bodies].map(contentFingerprint).toSorted();
  expect(shown(here.map((name) => readFileSync(join(at, name), 'utf8')))).toEqual(
    shown((await world.standing()).values()),
  );
}

const window = { from: '2027-01-01T00:00:00Z', to: '2027-12-31T00:00:00Z' };

async function khalLists(): Promise<string[]> {
  const text = await run(
    'khal',
    '-c',
    join(folder, 'khal'),
    'list',
    '--day-format',
    '',
    '--format',
    '{start-long}|{title}',
    '2027-01-01',
    '2027-12-30',
  );
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.includes('|'))
    .toSorted();
}

/** The same lines, from what the source says. */
function expectedLines(said: Readonly<Record<string, Series>>): string[] {
  return Object.values(said)
    .flatMap((series) => expandSeries(series, window))
    .map(({ start, entry }) => {
      const isDay = entry.start.kind === 'date';
      return `${isDay ? start.slice(0, 10) : start.slice(0, 16).replace('T', ' ')}|${entry.summary ?? ''}`;
    })
    .toSorted();
}

const at = (local: string, hours = 1): { start: ReturnType<typeof zoned>; end: ReturnType<typeof zoned> } => ({
  start: zoned(local),
  end: zoned(local.replace(/T(\d\d)/, (_, hour: string) => `T${String(Number(hour) + hours).padStart(2, '0')}`)),
});
const titled = (series: Series, summary: string): Series => ({ ...series, main: { ...series.main, summary } });

const said: Record<string, Series> = {
  single: aSeries({
    uid: 's',
    main: anEntry({ summary: 'Single; with, "signs" & ümlauts', ...at('2027-03-01T09:00:00') }),
  }),
  utc: aSeries({
    uid: 'u',
    main: anEntry({ summary: 'In UTC', start: utc('2027-03-02T10:00:00Z'), end: utc('2027-03-02T11:00:00Z') }),
  }),
  day: aSeries({ uid: 'd', main: anEntry({ summary: 'A day', start: day('2027-04-05'), end: day('2027-04-06') }) }),
  weekly: titled(
    recurring('FREQ=WEEKLY;BYDAY=MO,WE;COUNT=40', zoned('2027-02-01T09:30:00'), zoned('2027-02-01T10:00:00'), {
      uid: 'w',
      excluded: [zoned('2027-02-08T09:30:00')],
      overrides: [anOverride(zoned('2027-02-10T09:30:00'), { summary: 'Weekly moved', ...at('2027-02-11T14:00:00') })],
    }),
    'Weekly over the change of clocks',
  ),
  monthly: titled(
    recurring(
      'FREQ=MONTHLY;BYDAY=-1FR;UNTIL=20271001T000000Z',
      zoned('2027-01-29T16:00:00', 'America/New_York'),
      zoned('2027-01-29T17:00:00', 'America/New_York'),
      { uid: 'm' },
    ),
    'Last Friday in New York',
  ),
  yearly: titled(
    recurring('FREQ=YEARLY', zoned('2026-06-15T12:00:00'), zoned('2026-06-15T13:00:00'), { uid: 'y' }),
    'Yearly without end',
  ),
};

withPrograms('vdirsyncer and khal', () => {
  it('read what we wrote, follow its changes, and write nothing back', async () => {
    world = await aDeliveryWorld();
    folder = mkdtempSync(join(tmpdir(), 'caldav-clients-'));
    settle(process.env['CALDAV_PASSWORD'] ?? 'secret', process.env['CALDAV_USERNAME'] ?? 'alice');
    await world.source('a');
    await world.says('a', said);
    await world.settle();
    await run('vdirsyncer', 'discover', 'p');
    await run('vdirsyncer', 'sync');
    await compareBodies();
    expect(await khalLists()).toEqual(expectedLines(said));

    const changed: Record<string, Series> = {
      ...said,
      single: aSeries({ uid: 's', main: anEntry({ summary: 'Single moved', ...at('2027-03-03T09:00:00') }) }),
      extra: aSeries({ uid: 'x', main: anEntry({ summary: 'New', ...at('2027-05-03T09:00:00') }) }),
    };
    await world.says('a', changed);
    delete changed['utc'];
    await world.loses('a', 'utc');
    await world.settle();
    await run('vdirsyncer', 'sync');
    await compareBodies();
    expect(await khalLists()).toEqual(expectedLines(changed));

    world.faults.forget();
    await run('vdirsyncer', 'sync');
    await world.settle({ look: true });
    expect(world.faults.requests.filter(({ method }) => method === 'PUT' || method === 'DELETE')).toEqual([]);
  }, 120_000);
});
