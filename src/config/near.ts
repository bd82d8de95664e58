/** The known name that a misspelt one may mean; undefined when none is near. Case is no difference. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const upper = name.toUpperCase();
  return known.find((other) => {
    const most = other.length > 5 ? 2 : 1;
    return Math.abs(name.length - other.length) <= most && distance(upper, other.toUpperCase()) <= most;
  });
}

/** Levenshtein's: insertions, deletions and replacements between two names. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 0; i < a.length; i += 1) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j += 1) {
      const replaced = (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
