/**
 * Writes what independent validators are to judge: `node test/system/validator-files.ts <folder> [count] [seed]`. All
 * golden pairs, `count` random series and `count` events of a Graph gone mad, each as an .ics file; `manifest.json` says
 * when each happens, `zones.json` what the clocks of eight zones show.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expandText } from '../../src/calendar/expand.ts';
import { renderSeries, type RenderedObject } from '../../src/calendar/render.ts';
import type { Series } from '../../src/calendar/series.ts';
import { instantSeconds, offsetAt } from '../../src/calendar/zones.ts';
import { parseLocal } from '../../src/calendar/civil.ts';
import type { Window } from '../../src/shared/window.ts';
import { anySeries } from '../calendar/any-series.ts';
import { recurring, zoned } from '../calendar/builders.ts';
import { defaultOptions, goldenCases } from '../calendar/golden.ts';
import { anyWireSeries, mapWire } from '../sources/graph/any-wire.ts';
import { mapCase, mappingCases } from '../sources/graph/mapping-cases.ts';

/** Zones whose rules changed, or that keep clocks of their own; from the first to the last year. */
const zones: readonly (readonly [zone: string, from: number, to: number])[] = [
  ['America/New_York', 2006, 2030],
  ['Europe/Berlin', 1996, 2036],
  ['Australia/Sydney', 2006, 2030],
  ['Asia/Tehran', 2016, 2030],
  // What Morocco does from 2026 on, databases of different ages tell differently.
  ['Africa/Casablanca', 2018, 2025],
  ['Pacific/Apia', 2009, 2024],
  ['Africa/Cairo', 2009, 2032],
  ['America/Sao_Paulo', 2009, 2030],
];
const halfDay = 43_200;

const [folder = '', count = '1500', seed = '6'] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const usedZones = new Set<string>();
const manifest: {
  file: string;
  from: string;
  to: string;
  starts: string[];
  mayHaveNone: boolean;
  isDoubled: boolean;
}[] = [];

function isDoubledHour(zone: string, wall: string): boolean {
  const local = parseLocal(wall.replace(/^(....)(..)(..)T(..)(..)(..)$/, '$1-$2-$3T$4:$5:$6'));
  const at = instantSeconds(local, zone);
  return [1_800, 3_600].some((later) => offsetAt(zone, at + later) === offsetAt(zone, at) - later);
}

function write(name: string, objects: readonly RenderedObject[], window: Window): void {
  for (const [index, { text }] of objects.entries()) {
    const file = `${name}-${index}.ics`;
    writeFileSync(join(folder, file), text);
    for (const [, zone = ''] of text.matchAll(/^TZID:(.*)\r$/gm)) usedZones.add(zone);
    const starts = expandText(text, window)
      .map(({ start }) => start)
      .filter((start) => start >= window.from.slice(0, start.length) && start < window.to.slice(0, start.length));
    // PHP takes the second pass of a doubled autumn hour where RFC 5545 says the first.
    const isDoubled = [...text.matchAll(/^DTSTART;TZID=(.*):(.{15})\r$/gm)].some(([, zone = '', wall = '']) =>
      isDoubledHour(zone, wall),
    );
    manifest.push({ file, ...window, starts: starts.sort(), mayHaveNone: starts.length === 0, isDoubled });
  }
}

function render(series: Series, name: string, window: Window): RenderedObject[] {
  return renderSeries(series, { ...defaultOptions, window, uid: `${name}@a1b2.calendar-sync` });
}

for (const { name, series, options } of goldenCases())
  write(`golden-${name}`, renderSeries(series, options), options.window);
for (const one of mappingCases()) {
  const objects = mapCase(one).flatMap((mapped) => mapped.objects);
  write(`graph-${one.name}`, objects, one.window);
}
const { window } = defaultOptions;
const sample = { numRuns: Number(count), seed: Number(seed) };
for (const [index, series] of fc.sample(anySeries(), sample).entries()) {
  write(`random-${index}`, render(series, `random-${index}`, window), window);
}
for (const [index, wire] of fc.sample(anyWireSeries(), sample).entries()) {
  for (const [part, series] of mapWire(wire, window).entries()) {
    write(`wire-${index}-${part}`, render(series, `wire-${index}-${part}`, window), window);
  }
}
type Clock = [at: number, offset: number][];
function clockOf(zone: string, from: number, to: number): Clock {
  const clock: Clock = [];
  for (let at = Date.UTC(from, 0, 5) / 1_000; at < Date.UTC(to, 11, 30) / 1_000; at += halfDay) {
    clock.push([at, offsetAt(zone, at)]);
  }
  return clock;
}
const clocks: Record<string, Clock> = {};
for (const [zone, from, to] of zones) {
  const weekly = recurring(`FREQ=WEEKLY;UNTIL=${to}1231T120000Z`, zoned(`${from}-01-05T12:00:00`, zone), null);
  write(`zone-${zone.replace('/', '-')}`, render(weekly, zone.replace('/', '-'), window), window);
  clocks[zone] = clockOf(zone, from, to);
}
const used = Object.fromEntries([...usedZones].sort().map((zone) => [zone, clockOf(zone, 2024, 2029)]));
writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
writeFileSync(join(folder, 'zones.json'), JSON.stringify({ clocks, used }));
console.log(`${manifest.length} files`);
