import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** Names this process for leases: `host/pid/start/nonce`, so that others on the same host can tell whether it lives. */
export function holderName(): string {
  return [hostname(), process.pid, startOf(process.pid) ?? '-', randomBytes(4).toString('hex')].join('/');
}

/**
 * Whether a lease's holder certainly lives no more. Only of processes on this host can that be said; of any other the
 * answer is false, and its lease must expire.
 */
export function isDeadHolder(holder: string): boolean {
  const [host, pidText, start] = holder.split('/');
  const pid = Number(pidText);
  if (host !== hostname() || !Number.isInteger(pid)) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
  const now = startOf(pid);
  return now !== null && start !== '-' && now !== start;
}

/** When a process started, in ticks since boot (proc(5), field 22); null where there is no /proc. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}
