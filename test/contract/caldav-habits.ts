/** In what servers differ, as far as it can be seen by who writes to them as we do. */
export interface Habits {
  /** Answers with X-Sabre-Version. */
  readonly isSabre: boolean;
  /** Stores the bytes that it was sent. */
  readonly keepsBytes: boolean;
  /** The etag is the md5 of the stored bytes. */
  readonly isEtagMd5: boolean;
  /** Names no etag when it has changed the text. */
  readonly hidesEtagOfRepaired: boolean;
  readonly refusesLongSeries: boolean;
  readonly refusesMethod: boolean;
  /** Takes only the components that the calendar was made for. */
  readonly refusesOtherComponents: boolean;
  /** Answers an unknown sync token of the right form with itself. */
  readonly echoesUnknownTokens: boolean;
  /** `Schedule-Reply: F` alone keeps it from writing into an organizer's event. */
  readonly heedsScheduleReply: boolean;
  readonly takesUidTwice: boolean;
  /** Takes an exception without its master. */
  readonly takesOrphans: boolean;
}

const habits: Readonly<Record<string, Habits>> = {
  /** 0.12.1, and the in-process server. */
  baikal: {
    isSabre: true,
    keepsBytes: true,
    isEtagMd5: true,
    hidesEtagOfRepaired: true,
    refusesLongSeries: true,
    refusesMethod: true,
    refusesOtherComponents: true,
    echoesUnknownTokens: true,
    heedsScheduleReply: true,
    takesUidTwice: true,
    takesOrphans: true,
  },
  /** 3.1.8 of Debian 12. */
  radicale: {
    isSabre: false,
    keepsBytes: false,
    isEtagMd5: false,
    hidesEtagOfRepaired: false,
    refusesLongSeries: false,
    refusesMethod: false,
    refusesOtherComponents: false,
    echoesUnknownTokens: false,
    heedsScheduleReply: true,
    takesUidTwice: false,
    takesOrphans: false,
  },
  /** 3.6.1 of Debian 12. */
  cyrus: {
    isSabre: false,
    keepsBytes: true,
    isEtagMd5: false,
    hidesEtagOfRepaired: false,
    refusesLongSeries: false,
    refusesMethod: false,
    refusesOtherComponents: false,
    echoesUnknownTokens: false,
    heedsScheduleReply: false,
    takesUidTwice: false,
    takesOrphans: true,
  },
};

export function habitsOf(name: string): Habits {
  const found = habits[name];
  if (found === undefined) throw new Error(`No habits of "${name}" are known: ${Object.keys(habits).join(', ')}`);
  return found;
}
