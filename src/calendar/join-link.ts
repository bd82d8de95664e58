import { safeUri } from './text.ts';

/** Hosts and paths on which online meetings are joined, national clouds included. */
const MEETINGS: readonly RegExp[] = [
  /^https:\/\/(?:[a-z0-9-]+\.)*teams\.(?:microsoft|live)\.(?:com|us)\/(?:l\/meetup-join|meet)\//i,
  /^https:\/\/teams\.microsoftonline\.cn\/(?:l\/meetup-join|meet)\//i,
  /^https:\/\/(?:[a-z0-9-]+\.)*zoom(?:gov)?\.(?:us|com)\/(?:j|my|s|w)\//i,
  /^https:\/\/meet\.google\.com\/[a-z]/i,
  /^https:\/\/[a-z0-9-]+\.webex\.com\/(?:[^?]*\/)?(?:j\.php|meet\/|join\/|m\/)/i,
  /^https:\/\/(?:global\.)?(?:gotomeeting\.com\/join|meet\.goto\.com)\//i,
  /^https:\/\/(?:whereby\.com|meet\.jit\.si)\/./i,
];

/** The first link in a text or HTML body that joins an online meeting, Defender's SafeLinks undone; null when none. */
export function findJoinLink(body: string): string | null {
  for (const [raw] of body.slice(0, 262_144).matchAll(/https:\/\/[^\s<>"'()[\]\\]+/gi)) {
    const link = unwrapSafeLink(raw.replaceAll('&amp;', '&').replace(/[.,;:!?]+$/, ''));
    if (MEETINGS.some((meeting) => meeting.test(link))) {
      const safe = safeUri(link);
      if (safe !== null) return safe;
    }
  }
  return null;
}

/** The address that a Defender for Office SafeLink leads to; any other link as it is. */
export function unwrapSafeLink(link: string): string {
  if (!URL.canParse(link)) return link;
  const url = new URL(link);
  if (!/\.safelinks\.protection\.(?:outlook\.com|office365\.us|outlook\.cn)$/i.test(url.hostname)) return link;
  const inner = url.searchParams.get('url');
  return inner !== null && URL.canParse(inner) ? inner : link;
}
