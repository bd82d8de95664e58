import { X509Certificate } from 'node:crypto';
import type { Tenant } from '../config/model.ts';

const dayMs = 86_400_000;
/** Days ahead at which the end of a credential is told; 0: it has come. */
const steps = [0, 3, 14, 30] as const;

/** Until when a tenant's credential is good; null: nobody says. A certificate says it by itself. Pure. */
export function credentialEnd({
  credential,
  secretExpires,
}: Pick<Tenant, 'credential' | 'secretExpires'>): Date | null {
  if (credential?.kind === 'certificate') {
    try {
      return new Date(new X509Certificate(credential.certificate).validTo);
    } catch {
      return null;
    }
  }
  return credential === null || secretExpires === undefined || secretExpires === null
    ? null
    : new Date(`${secretExpires}T00:00:00Z`);
}

/** What of an end is to be told now: the nearest step that it has come within; null: it is further away. Pure. */
export function warningStep(end: Date, now: Date): (typeof steps)[number] | null {
  const days = (end.getTime() - now.getTime()) / dayMs;
  return steps.find((step) => days <= step) ?? null;
}

/** The end in words, for doctor and status. Pure. */
export function describeEnd(end: Date, now: Date): string {
  const days = Math.floor((end.getTime() - now.getTime()) / dayMs);
  const on = end.toISOString().slice(0, 10);
  return days < 0 ? `ended on ${on}` : `ends on ${on}, in ${days} day${days === 1 ? '' : 's'}`;
}
