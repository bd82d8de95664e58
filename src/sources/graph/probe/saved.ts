import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Window } from '../../../shared/window.ts';
import type { Exchange } from './exchange.ts';
import type { Place } from './gather.ts';
import type { Settled } from './question.ts';
import { scrubber, type Scrubber } from './scrub.ts';

/** A probe as it is kept: what was found, and the exchanges, scrubbed, by which it can be found again. */
export interface SavedProbe {
  readonly format: 1;
  readonly program: string;
  readonly cloud: string;
  readonly at: string;
  readonly window: Window;
  readonly skewMs: number | null;
  readonly tried: Readonly<Record<string, readonly string[]>>;
  /** Where the reading began; scrubbed. */
  readonly places: readonly Place[];
  readonly answers: readonly Pick<Settled, 'question' | 'state' | 'answer' | 'evidence'>[];
}

export interface ProbeToSave extends Omit<SavedProbe, 'format' | 'answers'> {
  readonly settled: readonly Settled[];
  readonly exchanges: readonly Exchange[];
  /** Thrown away afterwards: nothing that is kept can be traced back. */
  readonly key: Uint8Array;
}

/** Writes `probe.json` and `exchanges.json` into a folder that only its owner can read. */
export function saveProbe(folder: string, { settled, exchanges, key, ...probe }: ProbeToSave): void {
  const scrub = scrubber(key);
  const answers = settled.map(({ question, state, answer, evidence }) => ({ question, state, answer, evidence }));
  const places = probe.places.map((place) => scrubPlace(scrub, place, exchanges));
  const saved: SavedProbe = { format: 1, ...probe, places, answers };
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  write(folder, 'probe.json', saved);
  write(folder, 'exchanges.json', exchanges.map(scrub.exchange));
}

/** By the calendar's id, for names are nobody's business. */
function scrubPlace(scrub: Scrubber, { mailbox, calendar }: Place, exchanges: readonly Exchange[]): Place {
  const listed = exchanges.flatMap(({ purpose, body }) => (purpose === 'calendars' ? valuesOf(body) : []));
  const named = listed.find(({ id, name }) => id === calendar || name === calendar);
  return { mailbox: scrub.address(mailbox), calendar: scrub.calendar(named?.id ?? calendar) };
}

function valuesOf(body: unknown): { readonly id: string; readonly name: string }[] {
  const value: unknown = typeof body === 'object' && body !== null && 'value' in body ? body.value : [];
  return Array.isArray(value) ? (value as { id: string; name: string }[]) : [];
}

function write(folder: string, name: string, content: unknown): void {
  writeFileSync(join(folder, name), `${JSON.stringify(content, null, 1)}\n`, { mode: 0o600 });
}
