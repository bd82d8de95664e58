import { createHash } from 'node:crypto';

export interface Cached<T> {
  (id: string, settings: unknown, make: () => T): T;
  /** Lets go of everything. */
  clear(): Promise<void>;
}

/** One value per id for as long as its settings stay the same: tokens and connections outlive a run. */
export function cached<T>(drop: (value: T) => void | Promise<void> = () => undefined): Cached<T> {
  const held = new Map<string, { digest: string; value: T }>();
  const get = (id: string, settings: unknown, make: () => T): T => {
    const digest = createHash('sha256').update(JSON.stringify(settings)).digest('hex');
    const present = held.get(id);
    if (present?.digest === digest) return present.value;
    if (present !== undefined) void drop(present.value);
    const value = make();
    held.set(id, { digest, value });
    return value;
  };
  return Object.assign(get, {
    clear: async () => {
      for (const { value } of held.values()) await drop(value);
      held.clear();
    },
  });
}
