import type { Importance, Sensitivity, ShowAs } from './series.ts';

/** Outlook's words, as Graph and PowerAutomate's flows write them, read without regard to case; unknown ones included. */
export function showAsOf(value: string | null): ShowAs {
  switch (value?.toLowerCase()) {
    case 'free':
    case 'tentative':
    case 'oof':
      return value.toLowerCase() as ShowAs;
    case 'workingelsewhere':
      return 'workingElsewhere';
    default:
      return 'busy';
  }
}

/** An unknown degree of secrecy is a secret. */
export function sensitivityOf(value: string | null): Sensitivity {
  switch (value?.toLowerCase()) {
    case undefined:
    case 'normal':
      return 'normal';
    case 'personal':
      return 'personal';
    case 'confidential':
      return 'confidential';
    default:
      return 'private';
  }
}

export function importanceOf(value: string | null): Importance {
  const lower = value?.toLowerCase();
  return lower === 'low' || lower === 'high' ? lower : 'normal';
}
