/** An object that should be there, as rendered. */
export interface WantedObject {
  readonly part: string;
  readonly uid: string;
  readonly calendarId: string;
  readonly href: string;
  readonly text: string;
  readonly fingerprint: string;
  readonly scheduleFingerprint: string;
}

/** An object that we know to be there. */
export interface KnownObject {
  readonly id: string;
  readonly part: string;
  readonly uid: string;
  readonly calendarId: string;
  readonly href: string;
  readonly etag: string | null;
  /** Null: what stands there is not known to be what we rendered; it is written again. */
  readonly fingerprint: string | null;
}

export type Step<K extends KnownObject = KnownObject> =
  /** `movedFrom`: the same part as it stands in another place, deleted afterwards. */
  | { readonly do: 'create'; readonly wanted: WantedObject; readonly movedFrom: K | null; readonly why: string }
  | {
      readonly do: 'update';
      readonly wanted: WantedObject;
      readonly known: K;
      readonly movedFrom: K | null;
      readonly why: string;
    }
  | { readonly do: 'delete'; readonly known: K; readonly why: string };

/**
 * What makes a meeting's objects those that are wanted. Pure. Writes come before deletes, so that a meeting that moves
 * between calendars or changes its parts is never absent. An unchanged object has no step.
 */
export function planMeeting<K extends KnownObject>(
  wanted: readonly WantedObject[],
  known: readonly K[],
  why: string,
): Step<K>[] {
  const byHref = new Map(known.map((object) => [object.href, object]));
  const keep = new Set(wanted.map((object) => object.href));
  const writes = wanted.flatMap((object): Step<K>[] => {
    const there = byHref.get(object.href);
    if (there === undefined) {
      const movedFrom =
        known.find((other) => other.part === object.part && other.calendarId !== object.calendarId) ?? null;
      return [{ do: 'create', wanted: object, movedFrom, why: movedFrom === null ? why : 'moved to another calendar' }];
    }
    // What a client moved is gone from its place and found in another: it is put back, though its deletion were kept.
    const isMoved = (other: K): boolean => there.etag === null && other.uid === object.uid && !keep.has(other.href);
    const movedFrom = known.find(isMoved) ?? null;
    if (there.fingerprint === object.fingerprint && movedFrom === null) return [];
    return [{ do: 'update', wanted: object, known: there, movedFrom, why }];
  });
  const deletes = known
    .filter((object) => !keep.has(object.href))
    .map((object): Step<K> => ({ do: 'delete', known: object, why: wanted.length === 0 ? why : 'replaced' }));
  return [...writes, ...deletes];
}
