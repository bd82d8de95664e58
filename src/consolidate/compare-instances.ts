/** One happening of the source, as its settings let it show. */
export interface ExpectedInstance {
  /** Key of the claim, and the uid by which it is found where the key has another form. */
  readonly key: string;
  readonly uid: string | null;
  readonly start: string;
  /** Times, use of time and title as a person sees them; null where `hiddenBy` says why it does not show. */
  readonly line: string | null;
  readonly hiddenBy: string | null;
}

/** What became of a claim. */
export interface Place {
  readonly key: string;
  readonly uid: string | null;
  readonly state: 'shown' | 'pending' | 'held';
  readonly meetingId: string | null;
  readonly shownBy: string | null;
  readonly why: string | null;
}

/** One happening that the target shows. */
export interface ShownInstance {
  readonly start: string;
  readonly line: string;
}

export interface InstanceDifference {
  readonly start: string;
  readonly line: string;
  readonly why: string;
}

export interface InstanceComparison {
  /** Happenings that stand in the target as they should. */
  readonly same: number;
  /** Left out by a filter or by privacy, by its name. */
  readonly hidden: Readonly<Record<string, number>>;
  /** Shown by another source's copy, by that source, or covered by a series. */
  readonly elsewhere: Readonly<Record<string, number>>;
  /** Gone from the source, held by the guard. */
  readonly held: number;
  readonly missing: readonly InstanceDifference[];
  readonly surplus: readonly InstanceDifference[];
  /** Keys of the claims that differ. */
  readonly keys: readonly string[];
}

/**
 * Compares what a source shows with what its target shows, happening by happening. Pure. What another source's copy
 * shows in this one's place is only counted: whose words show is a choice, not a difference.
 */
export function compareInstances(
  sourceId: string,
  expected: readonly ExpectedInstance[],
  places: readonly Place[],
  shown: ReadonlyMap<string, readonly ShownInstance[]>,
): InstanceComparison {
  const byKey = new Map(places.map((place) => [place.key, place]));
  const byUid = new Map(places.flatMap((place) => (place.uid === null ? [] : [[place.uid, place] as const])));
  const left = new Map([...shown].map(([meeting, instances]) => [meeting, [...instances]]));
  const hidden: Record<string, number> = {};
  const elsewhere: Record<string, number> = {};
  const missing: InstanceDifference[] = [];
  const keys = new Set<string>();
  let same = 0;

  for (const { key, uid, start, line, hiddenBy } of expected) {
    if (line === null) {
      const by = hiddenBy ?? 'privacy';
      hidden[by] = (hidden[by] ?? 0) + 1;
      continue;
    }
    const place = byKey.get(key) ?? (uid === null ? undefined : byUid.get(uid));
    if (place === undefined) {
      missing.push({ start, line, why: 'not read yet' });
      keys.add(key);
    } else if (place.shownBy !== sourceId && place.why !== null) {
      const by = place.shownBy ?? place.why;
      elsewhere[by] = (elsewhere[by] ?? 0) + 1;
    } else if (take(left.get(place.meetingId ?? ''), line)) same += 1;
    else {
      missing.push({ start, line, why: place.shownBy === null ? 'not delivered yet' : 'not so in the target' });
      keys.add(place.key);
    }
  }

  const surplus: InstanceDifference[] = [];
  let held = 0;
  for (const place of places) {
    const rest = place.meetingId === null || place.shownBy !== sourceId ? [] : (left.get(place.meetingId) ?? []);
    if (place.state === 'shown') {
      surplus.push(...rest.map(({ start, line }) => ({ start, line, why: 'not in the source' })));
      if (rest.length > 0) keys.add(place.key);
    } else held += rest.length;
  }
  return { same, hidden, elsewhere, held, missing, surplus, keys: [...keys] };
}

function take(instances: ShownInstance[] | undefined, line: string): boolean {
  const index = instances?.findIndex((instance) => instance.line === line) ?? -1;
  if (index < 0) return false;
  instances?.splice(index, 1);
  return true;
}
