import type { Entry, Moment, Series } from './series.ts';

/** An entry that says nothing but when it is. */
export function blankEntry(start: Moment, end: Moment | null = null): Entry {
  return {
    start,
    end,
    summary: null,
    description: null,
    location: null,
    place: null,
    showAs: 'busy',
    status: 'confirmed',
    sensitivity: 'normal',
    importance: 'normal',
    categories: [],
    joinUrl: null,
    dialIn: [],
    webLink: null,
    organizer: null,
    attendees: [],
    answer: 'none',
    disallowCounter: false,
    reminder: null,
    createdAt: null,
    lastModifiedAt: null,
    foreign: [],
  };
}

/** A series of this one event, which nobody else knows. */
export function singleSeries(main: Entry): Series {
  return {
    uid: null,
    slot: '*',
    main,
    recurrence: null,
    excluded: [],
    overrides: [],
    list: null,
    sequence: null,
  };
}
