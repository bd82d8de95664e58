import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';

const root = join(import.meta.dirname, '../..');

/** Codes as they are written: `code: 'a.b'`, also where one of two is chosen. */
function codesInSource(): string[] {
  const texts = globSync('src/**/*.ts', { cwd: root }).map((file) => readFileSync(join(root, file), 'utf8'));
  const places = texts.flatMap((text) => text.match(/\bcode: [^,;\n]*'[a-z_0-9]+\.[a-z_0-9]+'[^,;\n]*/g) ?? []);
  const codes = places.flatMap((place) => place.match(/'[a-z_0-9]+\.[a-z_0-9]+'/g) ?? []);
  return [...new Set(codes.map((code) => code.slice(1, -1)))].toSorted();
}

describe('docs/errors.md', () => {
  it('tells of every code', () => {
    const codes = codesInSource();
    expect(codes.length).toBeGreaterThan(50);
    const text = readFileSync(join(root, 'docs/errors.md'), 'utf8');
    expect(codes.filter((code) => !text.includes(`\`${code}\``))).toEqual([]);
  });

  it('tells of each once', () => {
    const cells = readFileSync(join(root, 'docs/errors.md'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .flatMap((line) => line.split('|')[1]?.match(/`[^`]+`/g) ?? []);
    expect(cells.length).toBe(new Set(cells).size);
  });
});
