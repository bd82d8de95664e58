/** A meeting whose claims, or some of them, get another identity. */
export interface StandingMeeting {
  readonly id: string;
  readonly identity: string;
  /** Something of it stands in the target. */
  readonly hasObjects: boolean;
  readonly shownClaimId: string | null;
  /** With the identity that each shall have. */
  readonly claims: readonly { readonly id: string; readonly identity: string }[];
}

/**
 * Which identity each of these meetings has from now on, so that what shows keeps its place: when a meeting splits, the
 * claim that shows keeps it; when meetings merge, the oldest that stands stays. Null: another meeting has taken over
 * what it showed. Pure; the same for any order.
 */
export function keepMeetings(meetings: readonly StandingMeeting[]): Map<string, string | null> {
  const inOrder = meetings.toSorted(
    (a, b) =>
      Number(a.claims.length === 0) - Number(b.claims.length === 0) ||
      Number(b.hasObjects) - Number(a.hasObjects) ||
      Number(BigInt(a.id) - BigInt(b.id)),
  );
  const kept = new Map<string, string | null>();
  const taken = new Set<string>();
  const give = (meeting: StandingMeeting, wishes: readonly string[]): void => {
    const free = wishes.find((identity) => !taken.has(identity));
    if (free === undefined) return;
    kept.set(meeting.id, free);
    taken.add(free);
  };
  for (const meeting of inOrder) if (meeting.claims.length > 0) give(meeting, wishesOf(meeting).slice(0, 1));
  for (const meeting of inOrder) if (!kept.has(meeting.id)) give(meeting, wishesOf(meeting));
  for (const meeting of inOrder) if (!kept.has(meeting.id)) kept.set(meeting.id, null);
  return kept;
}

function wishesOf({ identity, shownClaimId, claims }: StandingMeeting): string[] {
  const wanted = claims.toSorted((a, b) => Number(BigInt(a.id) - BigInt(b.id))).map((claim) => claim.identity);
  const shown = claims.find((claim) => claim.id === shownClaimId)?.identity;
  if (claims.length === 0) return [identity];
  return [...(shown === undefined ? [] : [shown]), ...(wanted.includes(identity) ? [identity] : []), ...wanted];
}
