import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';

import { entraNumbers } from '../../src/sources/graph/aadsts.ts';
import { entities } from '../../src/store/entities.ts';

const root = join(import.meta.dirname, '../..');

/** Codes as they are written: `code: 'a.b'`, also where one of two is chosen. */
function codesInSource(): string[] {
  const texts = globSync('src/**/*.ts', { cwd: root }).map((file) => readFileSync(join(root, file), 'utf8'));
  const places = texts.flatMap((text) => text.match(/\bcode: [^,;\n]*'[a-z_0-9]+\.[a-z_0-9]+'[^,;\n]*/g) ?? []);
  const codes = places.flatMap((place) => place.match(/'[a-z_0-9]+\.[a-z_0-9]+'/g) ?? []);
  const ofEntra = entraNumbers.map(({ code }) => code);
  return [...new Set([...codes.map((code) => code.slice(1, -1)), ...ofEntra])].toSorted();
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

describe('docs/security.md', () => {
  it('tells of every table what it holds and for how long', () => {
    const text = readFileSync(join(root, 'docs/security.md'), 'utf8');
    const rows = text.split('\n').filter((line) => line.startsWith('| `'));
    const told = new Set(rows.flatMap((line) => line.split('|')[1]?.match(/`[a-z_]+`/g) ?? []));
    const tables = entities.map((entity) => entity.meta.tableName);
    expect(tables.filter((table) => !told.has(`\`${table}\``))).toEqual([]);
  });
});
