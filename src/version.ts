import { readFileSync } from 'node:fs';

/** Ours, as in package.json, which stands one folder above both `src` and `dist`. */
export const version = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;
