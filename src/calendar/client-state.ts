/**
 * What phones and desktop programs write into our objects for themselves: acknowledged and snoozed alarms, travel times.
 * It is kept apart from what we compare and carried along when we write.
 */
import { fingerprintsOf, isClientState, plainText, type Fingerprints } from './canonical.ts';
import type { JCal, JCalProperty } from './ical.ts';
import { componentText } from './ical.ts';
import { readComponents } from './read-components.ts';
import { durationSeconds } from './duration.ts';
import { tryParseLocal, formatLocal } from './civil.ts';
import { zoneOfTzid } from './tzid.ts';
import { instantSeconds } from './zones.ts';

/**
 * The fingerprint of a server's copy: equal to the one that `renderSeries` gave for what was written there, as long as
 * only order, folding, defaults, stamps, zone definitions and client state differ. Throws `ical.unreadable`.
 */
export function contentFingerprint(text: string): string {
  return standingFingerprints(text).content;
}

/** Both fingerprints of a server's copy. Throws `ical.unreadable`. */
export function standingFingerprints(text: string): Fingerprints {
  const { roots } = readComponents(text);
  return fingerprintsOf(roots.flatMap(([, , components]) => components));
}

/**
 * `ours` with the client state of `server`, component by component: X-MOZ-* and X-APPLE-* properties that ours does not
 * write itself, ACKNOWLEDGED of alarms with the same trigger, and alarms that a client added to snooze one of them.
 * Returns `ours` unchanged, to the byte, when there is nothing to carry or the server's copy cannot be read.
 */
export function mergeClientState(ours: string, server: string): string {
  const states = statesOf(server);
  if (states.size === 0) return ours;
  const [calendar] = readComponents(ours).roots;
  if (calendar === undefined) return ours;
  const components = calendar[2].map((component) => {
    const state = component[0] === 'vevent' ? states.get(keyOf(component)) : undefined;
    return state === undefined ? component : mergeEvent(component, state);
  });
  const isSame = components.every((component, index) => component === calendar[2][index]);
  return isSame ? ours : componentText([calendar[0], calendar[1], components]);
}

interface State {
  readonly properties: readonly JCalProperty[];
  /** By trigger. */
  readonly acknowledged: ReadonlyMap<string, JCalProperty>;
  readonly snoozed: readonly JCal[];
}

// A client that writes more than this for itself is broken.
const maxProperties = 50;

function statesOf(server: string): Map<string, State> {
  const states = new Map<string, State>();
  let roots: readonly JCal[];
  try {
    ({ roots } = readComponents(server));
  } catch {
    // Somebody else's rubbish under our name has no state worth keeping.
    return states;
  }
  for (const event of roots.flatMap(([, , components]) => components)) {
    if (event[0] !== 'vevent') continue;
    const state = stateOf(event);
    if (state.properties.length + state.acknowledged.size + state.snoozed.length > 0) states.set(keyOf(event), state);
  }
  return states;
}

function stateOf([, properties, components]: JCal): State {
  const acknowledged = new Map<string, JCalProperty>();
  const snoozed: JCal[] = [];
  for (const alarm of components) {
    if (alarm[0] !== 'valarm') continue;
    const property = alarm[1].find(([name]) => name === 'acknowledged');
    if (alarm[1].some(([name]) => name === 'related-to')) snoozed.push(alarm);
    else if (property !== undefined) acknowledged.set(triggerOf(alarm), property);
  }
  return {
    // The place is ours to tell: Apple's form of an old one must not outlive it.
    properties: properties
      .filter(([name]) => isClientState(name) && name !== 'x-apple-structured-location' && name !== 'x-lic-error')
      .slice(0, maxProperties),
    acknowledged,
    snoozed: snoozed.slice(0, maxProperties),
  };
}

function mergeEvent(event: JCal, state: State): JCal {
  const own = new Set(event[1].map(([name]) => name));
  const added = state.properties.filter(([name]) => !own.has(name));
  const alarms = event[2].map((alarm): JCal => {
    const property = alarm[0] === 'valarm' ? state.acknowledged.get(triggerOf(alarm)) : undefined;
    if (property === undefined || alarm[1].some(([name]) => name === 'acknowledged')) return alarm;
    return [alarm[0], [...alarm[1], property], alarm[2]];
  });
  // A snoozed alarm whose original is gone would ring for nothing.
  const snoozed = alarms.some(([name]) => name === 'valarm') ? state.snoozed : [];
  const isSame = alarms.every((alarm, index) => alarm === event[2][index]);
  if (added.length === 0 && snoozed.length === 0 && isSame) return event;
  return [event[0], [...event[1], ...added], [...alarms, ...snoozed]];
}

function triggerOf(alarm: JCal): string {
  const value = plainText(alarm[1].find(([name]) => name === 'trigger')?.[3], '');
  return String(durationSeconds(value) ?? value);
}

/** The component's slot as an instant, since clients write it with a zone or in UTC as they like. */
function keyOf(event: JCal): string {
  const property = event[1].find(([name]) => name === 'recurrence-id');
  if (property === undefined) return '';
  const text = String(property[3]);
  const wall = tryParseLocal(text);
  const tzid = property[1]['tzid'];
  if (wall === null || typeof tzid !== 'string' || text.endsWith('Z') || property[2] === 'date') return text;
  return `${formatLocal(instantSeconds(wall, zoneOfTzid(tzid) ?? 'UTC'))}Z`;
}
