import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** Names this process for leases: `place/pid/start/nonce`, so that others at the same place can tell whether it lives. */
export function holderName(): string {
  return [place(), process.pid, lifeOf(process.pid)?.start ?? '-', randomBytes(4).toString('hex')].join('/');
}

/**
 * Whether a lease's holder certainly lives no more. Only of processes at this place can that be said; of any other the
 * answer is false, and its lease must expire.
 */
export function isDeadHolder(holder: string): boolean {
  const [where, pidText, start] = holder.split('/');
  const pid = Number(pidText);
  if (where !== place() || !Number.isInteger(pid)) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
  const now = lifeOf(pid);
  // Another process has the number by now, or the dead one is only not buried yet (in a container nobody may do that).
  return now !== null && start !== '-' && (now.start !== start || now.isZombie);
}

/**
 * Where process numbers mean the same: this host since it was started, and on it this process' namespace. A host's name
 * alone would not do: machines may share one, and containers on the host's network do.
 */
function place(): string {
  const boot = orEmpty(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8));
  const namespace = orEmpty(() => /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '');
  return [hostname(), boot, namespace].join('+');
}

function orEmpty(read: () => string): string {
  try {
    return read();
  } catch {
    return '';
  }
}

/** When a process started, in ticks since boot, and whether it has ended (proc(5), fields 22 and 3); null without /proc. */
function lifeOf(pid: number): { start: string; isZombie: boolean } | null {
  const stat = orEmpty(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  // The name before the last bracket may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const start = fields[19];
  return start === undefined ? null : { start, isZombie: fields[0] === 'Z' || fields[0] === 'X' };
}
