/**
 * What an object says, without what programs differ in when they write the same thing: order, folding, defaults, zone
 * definitions, stamps, and a client's own state. Two texts with the same canonical form need no write.
 */
import { hash } from 'node:crypto';
import { dayOfSeconds, daySeconds, formatDay, formatLocal, tryParseLocal } from './civil.ts';
import { durationSeconds } from './duration.ts';
import type { JCal, JCalProperty } from './ical.ts';
import { formatRule, parseRule } from './rule.ts';
import { zoneOfTzid } from './tzid.ts';
import { instantSeconds, localSeconds } from './zones.ts';

export interface Fingerprints {
  /** sha256 over everything that is compared. */
  readonly content: string;
  /** sha256 over times, recurrence, place and status: when it changes, SEQUENCE rises. */
  readonly schedule: string;
}

interface Line {
  readonly name: string;
  readonly text: string;
}

/** Fingerprints of the events among components of a calendar object. */
export function fingerprintsOf(components: readonly JCal[]): Fingerprints {
  const events = components
    .filter(([name]) => name === 'vevent')
    .map((event) => canonicalEvent(event))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const content = events.map(({ lines }) => lines.map(({ text }) => text).join('\n')).join('\n\n');
  const schedule = events
    .map(({ lines }) => lines.flatMap(({ name, text }) => (scheduling.has(name) ? [text] : [])).join('\n'))
    .join('\n\n');
  return { content: hash('sha256', content), schedule: hash('sha256', schedule) };
}

const scheduling = new Set(['dtstart', 'dtend', 'rrule', 'rdate', 'exdate', 'recurrence-id', 'location', 'status']);
const ignored = new Set([
  'dtstamp',
  'last-modified',
  'created',
  'sequence',
  'request-status',
  'duration',
  'dtend',
  'rdate',
  'exdate',
  'categories',
]);
/** Written or not, they mean the same (RFC 5545 sections 3.8.1.3, 3.8.1.9, 3.8.1.11, 3.8.2.7). */
const defaults = new Set(['class:PUBLIC', 'priority:[0]', 'status:CONFIRMED', 'transp:OPAQUE']);

/** Properties that belong to the client that wrote them: acknowledged alarms, travel times. */
export function isClientState(name: string): boolean {
  return name.startsWith('x-moz-') || name.startsWith('x-apple-') || name === 'x-lic-error';
}

function canonicalEvent([, properties, components]: JCal): { key: string; lines: Line[] } {
  const lines: Line[] = [];
  for (const property of properties) {
    const [name] = property;
    if (ignored.has(name) || isClientState(name)) continue;
    const text = canonicalProperty(property);
    if (!defaults.has(text)) lines.push({ name, text });
  }
  for (const name of ['exdate', 'rdate', 'categories']) {
    const values = valuesOf(properties, name);
    if (values.length > 0) lines.push({ name, text: `${name}:${values.join(',')}` });
  }
  const end = canonicalEnd(properties);
  if (end !== null) lines.push({ name: 'dtend', text: `dtend:${end}` });
  for (const component of components) {
    const alarm = canonicalAlarm(component);
    if (alarm !== null) lines.push({ name: 'valarm', text: alarm });
  }
  lines.sort((a, b) => (a.text < b.text ? -1 : 1));
  return { key: lines.find(({ name }) => name === 'recurrence-id')?.text ?? '', lines };
}

function valuesOf(properties: readonly JCalProperty[], name: string): string[] {
  const values = new Set<string>();
  for (const property of properties) {
    if (property[0] !== name) continue;
    for (const value of property.slice(3)) {
      values.add(name === 'categories' ? String(value).replaceAll(',', '\\,') : canonicalMoment(property, value));
    }
  }
  return [...values].sort();
}

function canonicalProperty(property: JCalProperty): string {
  const [name, parameters, , value] = property;
  switch (name) {
    case 'dtstart':
    case 'recurrence-id':
      return `${name}:${canonicalMoment(property, value)}`;
    case 'rrule': {
      const rule = recurText(value);
      const parsed = parseRule(rule);
      return `rrule:${parsed === null ? rule : formatRule(parsed)}`;
    }
    case 'status':
    case 'class':
    case 'transp':
      return `${name}:${String(value).toUpperCase()}`;
    case 'organizer':
    case 'attendee':
      return `${name}${peopleParameters(parameters)}:${String(value).toLowerCase()}`;
    default:
      return `${name}${otherParameters(parameters)}:${JSON.stringify(property.slice(3))}`;
  }
}

/** The text of a rule as ical.js holds it: an object with the parts in lower case. */
export function recurText(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.entries(value)
    .map(([name, part]: [string, unknown]) => {
      if (name === 'wkst' && typeof part === 'number') return `WKST=${weekdaysOfIcal[part] ?? 'MO'}`;
      const text = Array.isArray(part) ? part.join(',') : String(part);
      return `${name.toUpperCase()}=${name === 'until' ? text.replaceAll(/[-:]/g, '') : text}`;
    })
    .join(';');
}

const weekdaysOfIcal: readonly (string | undefined)[] = [undefined, 'SU', 'MO', 'TU', 'WE', 'TH', 'FR', 'SA'];

function canonicalMoment([, parameters, type]: JCalProperty, value: unknown): string {
  const text = Array.isArray(value) ? String(value[0]) : String(value);
  const tzid = parameters['tzid'];
  if (type === 'date' || text.endsWith('Z') || typeof tzid !== 'string') return text;
  const zone = zoneOfTzid(tzid);
  return zone === 'UTC' ? `${text}Z` : `${text}[${zone ?? tzid}]`;
}

/** DTEND, DURATION and the lengths that go without saying, all as an end. Null: no length. */
function canonicalEnd(properties: readonly JCalProperty[]): string | null {
  const start = properties.find(([name]) => name === 'dtstart');
  const end = properties.find(([name]) => name === 'dtend');
  if (end !== undefined) return canonicalMoment(end, end[3]);
  if (start === undefined) return null;
  const startText = String(start[3]);
  const wall = tryParseLocal(startText);
  if (wall === null) return null;
  const duration = properties.find(([name]) => name === 'duration');
  const seconds = duration === undefined ? null : durationSeconds(String(duration[3]));
  if (start[2] === 'date') return formatDay(dayOfSeconds(wall + Math.max(seconds ?? 0, daySeconds)));
  if (seconds === null || seconds <= 0) return null;
  const tzid = start[1]['tzid'];
  const zone = typeof tzid === 'string' && !startText.endsWith('Z') ? zoneOfTzid(tzid) : null;
  const at = zone === null ? wall + seconds : localSeconds(instantSeconds(wall, zone) + seconds, zone);
  return canonicalMoment(start, `${formatLocal(at)}${startText.endsWith('Z') ? 'Z' : ''}`);
}

const peopleDefaults: Readonly<Record<string, string>> = {
  cutype: 'INDIVIDUAL',
  role: 'REQ-PARTICIPANT',
  partstat: 'NEEDS-ACTION',
  rsvp: 'FALSE',
};

function peopleParameters(parameters: JCalProperty[1]): string {
  let parts = '';
  for (const name of ['cn', 'cutype', 'partstat', 'role', 'rsvp', 'schedule-agent']) {
    const value = parameters[name];
    if (value === undefined) continue;
    const given = typeof value === 'string' ? value : value.join(',');
    const text = name === 'cn' ? given : given.toUpperCase();
    if (text !== peopleDefaults[name]) parts += `;${name}=${JSON.stringify(text)}`;
  }
  return parts;
}

function otherParameters(parameters: JCalProperty[1]): string {
  const entries = Object.entries(parameters);
  if (entries.length === 0) return '';
  return entries
    .filter(([name]) => name !== 'language' && name !== 'value' && !isClientState(name))
    .map(([name, value]) => `;${name}=${JSON.stringify([value].flat().join(','))}`)
    .sort()
    .join('');
}

/** A single value of jCal that is a text or a number; anything else counts as missing. */
export function plainText(value: unknown, missing: string): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : missing;
}

/** Action and time of an alarm. Null for those that a client sets for itself: snoozed ones, Apple's default ones. */
function canonicalAlarm([name, properties]: JCal): string | null {
  if (name !== 'valarm' || properties.some(([own]) => own === 'related-to')) return null;
  const action = plainText(properties.find(([own]) => own === 'action')?.[3], 'DISPLAY').toUpperCase();
  if (action === 'NONE') return null;
  const trigger = properties.find(([own]) => own === 'trigger');
  const related = String(trigger?.[1]['related'] ?? 'START').toUpperCase();
  const value = plainText(trigger?.[3], '');
  return `valarm:${action}/${related}/${durationSeconds(value) ?? value}`;
}
