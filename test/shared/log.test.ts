import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { SyncError } from '../../src/shared/errors.ts';
import { createLog, type Log, nullLog } from '../../src/shared/log.ts';
import type { EventName } from '../../src/shared/log-events.ts';
import { renderEvents } from '../support/render-events.ts';

let folder: string;
let lines: string[];
let now: Date;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'log-'));
  lines = [];
  now = new Date('2026-07-01T12:00:00Z');
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('the log', () => {
  it('writes one JSON line per event, at the level of its kind', () => {
    const log = aLog();
    log.event('source.resumed', { source: 'agency-me' });
    log.event('guard.held', { source: 'agency-me', count: 12, reason: 'too many' });
    expect(told()).toEqual([
      {
        level: 'info',
        time: '2026-07-01T12:00:00.000Z',
        pid: process.pid,
        source: 'agency-me',
        event: 'source.resumed',
      },
      expect.objectContaining({ level: 'error', event: 'guard.held', count: 12 }),
    ]);
  });

  it('leaves out what is below its level, and requests by default', () => {
    const request = { method: 'GET', path: '/api/health', status: 200, durationMs: 1 };
    aLog({ level: 'info' }).event('http.request', request);
    aLog({ level: 'debug' }).event('http.request', request);
    aLog({ level: 'silent' }).event('internal.failed', { during: 'a test', error: new Error('no') });
    expect(told()).toMatchObject([{ event: 'http.request', path: '/api/health' }]);
  });

  it('adds the fields of its child logs', () => {
    aLog().child({ worker: 3 }).child({ job: 7 }).event('source.resumed', { source: 'a' });
    expect(told()).toMatchObject([{ worker: 3, job: 7, source: 'a' }]);
  });

  it('tells an error with its code, its recovery and its causes, without credentials in URLs', () => {
    const cause = new Error('connect ECONNREFUSED postgres://me:hunter2@db.example/x');
    const error = new SyncError('PostgreSQL is away', { code: 'store.away', recovery: { kind: 'retry' }, cause });
    aLog().event('internal.failed', { during: 'a test', error });
    expect(told()).toMatchObject([
      {
        error: {
          code: 'store.away',
          recovery: 'retry',
          message: 'PostgreSQL is away',
          cause: { message: expect.stringContaining('ECONNREFUSED') },
        },
      },
    ]);
    expect(lines.join('')).toContain('postgres://db.example/x');
    expect(lines.join('')).not.toContain('hunter2');
  });

  it('censors fields that are secrets by their name, should one ever get in', () => {
    const careless = { source: 'a', password: 'hunter2', nested: { token: 'hunter2' } };
    aLog().event('source.resumed', careless);
    expect(told()).toMatchObject([{ source: 'a', password: '[redacted]', nested: { token: '[redacted]' } }]);
  });

  it('masks what is secret in a path', () => {
    const log = aLog({ level: 'debug' });
    log.event('http.request', { method: 'POST', path: '/api/graph/notifications/hunter2', status: 202, durationMs: 1 });
    expect(told()).toMatchObject([{ path: '/api/graph/notifications/[redacted]' }]);
  });

  it('takes only known events with their own fields', () => {
    // @ts-expect-error: no such event
    const unknown: EventName = 'source.exploded';
    // @ts-expect-error: a field is missing
    nullLog.event('source.paused', { source: 'a' });
    expect(unknown).toBeDefined();
  });
});

describe('log files', () => {
  it('start anew each day and when they are full, and only the last ones stay', () => {
    const log = aLog({ keep: 3, maxBytes: 300 });
    for (const day of ['01', '02', '03']) {
      now = new Date(`2026-07-${day}T12:00:00Z`);
      for (let source = 1; source <= 4; source += 1) log.event('source.resumed', { source: `${day}-${source}` });
    }
    log.close();
    expect(files()).toEqual([
      'calendar-sync-2026-07-02.002.log',
      'calendar-sync-2026-07-03.001.log',
      'calendar-sync-2026-07-03.002.log',
    ]);
    expect(sourcesIn('calendar-sync-2026-07-03.001.log')).toEqual(['03-1', '03-2', '03-3']);
    expect(sourcesIn('calendar-sync-2026-07-03.002.log')).toEqual(['03-4']);
  });

  it('are shared by several processes and go on after a restart', () => {
    const [one, other] = [aLog(), aLog()];
    one.event('source.resumed', { source: 'one' });
    other.event('source.resumed', { source: 'other' });
    one.event('source.resumed', { source: 'one again' });
    one.close();
    other.close();
    const next = aLog();
    next.event('source.resumed', { source: 'next' });
    next.close();
    expect(files()).toEqual(['calendar-sync-2026-07-01.001.log']);
    expect(sourcesIn('calendar-sync-2026-07-01.001.log')).toEqual(['one', 'other', 'one again', 'next']);
  });
});

describe('docs/events.md', () => {
  it('lists every event (UPDATE_GOLDEN=1 writes it anew)', () => {
    const path = join(import.meta.dirname, '../../docs/events.md');
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, renderEvents());
    expect(readFileSync(path, 'utf8')).toBe(renderEvents());
  });
});

function aLog({ level = 'info', keep = 7, maxBytes = 1_000_000 } = {}): Log {
  const console = { write: (line: string) => void lines.push(line) };
  return createLog({ level, console, files: { folder, keep }, clock: { now: () => now }, maxBytes });
}

function told(): unknown[] {
  return lines.map((line) => JSON.parse(line) as unknown);
}

function files(): string[] {
  return readdirSync(folder).toSorted();
}

function sourcesIn(name: string): unknown[] {
  const text = readFileSync(join(folder, name), 'utf8').trimEnd();
  return text.split('\n').map((line) => (JSON.parse(line) as { source: unknown }).source);
}
