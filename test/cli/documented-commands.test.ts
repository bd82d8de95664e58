import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { runProgram } from '../../src/cli/program.ts';

const root = join(import.meta.dirname, '../..');
const helps = new Map<string, Promise<string>>();

/** What `--help` says of a command, as the operator sees it. */
function helpOf(path: readonly string[]): Promise<string> {
  const key = path.join(' ');
  const help = helps.get(key) ?? readHelp(path);
  helps.set(key, help);
  return help;
}

async function readHelp(path: readonly string[]): Promise<string> {
  const write = process.stdout.write.bind(process.stdout);
  let text = '';
  process.stdout.write = (chunk: string | Uint8Array): boolean => {
    text += String(chunk);
    return true;
  };
  try {
    await runProgram([...path, '--help'], {});
  } finally {
    process.stdout.write = write;
  }
  return text;
}

interface Mention {
  readonly file: string;
  readonly words: readonly string[];
}

/** Command lines in documents: `calendar-sync …`, `npm run cli -- …`, `main.js …`, up to what the shell does with them. */
function mentions(): Mention[] {
  const files = ['README.md', '.env.template', 'docker-compose.yml', ...globSync('docs/**/*.{md,txt}', { cwd: root })];
  return files.flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8');
    const found = text.matchAll(/(?:npm run cli --|`calendar-sync|"calendar-sync|dist\/main\.js) ([^`\n"#|&>;<)]*)/g);
    return [...found].map(([, line = '']) => ({
      file,
      words: line
        .trim()
        .split(/\s+/)
        .filter((word) => word !== ''),
    }));
  });
}

const hasCommand = (help: string, name: string): boolean => new RegExp(`^  ${name}( |$)`, 'm').test(help);
const isWord = (word: string | undefined): word is string => word !== undefined && /^[a-z][a-z-]*$/.test(word);

async function faultOf({ words }: Mention): Promise<string | null> {
  const [name] = words;
  if (name === undefined || name === '…' || name.startsWith('--')) return null;
  // Several names of commands, separated by bars, stand for each of them.
  for (const one of name.split('|')) if (!hasCommand(await helpOf([]), one)) return `there is no command ${one}`;
  const path = [name.split('|')[0] ?? ''];
  if (isWord(words[1]) && /^Commands:/m.test(await helpOf(path)) && hasCommand(await helpOf(path), words[1]))
    path.push(words[1]);
  const help = await helpOf(path);
  const missing = words.filter((word) => /^--[a-z]/.test(word)).map((word) => word.replace(/=.*/, ''));
  const unknown = missing.filter((option) => !new RegExp(`${option}( |,|$)`, 'm').test(help));
  return unknown.length === 0 ? null : `${path.join(' ')} has no ${unknown.join(', ')}`;
}

describe('commands that the documents name', () => {
  it('exist, with the options that they are shown with', async () => {
    const all = mentions();
    expect(all.length).toBeGreaterThan(60);
    const faults: string[] = [];
    for (const mention of all) {
      const fault = await faultOf(mention);
      if (fault !== null) faults.push(`${mention.file}: ${mention.words.join(' ')}: ${fault}`);
    }
    expect(faults).toEqual([]);
  });

  it('are all of them told of', async () => {
    const texts = ['README.md', ...globSync('docs/**/*.md', { cwd: root })].map((file) =>
      readFileSync(join(root, file), 'utf8'),
    );
    const text = texts.join('\n');
    const names = [...(await helpOf([])).matchAll(/^ {2}([a-z][a-z-]+)(?: |$)/gm)].map(([, name = '']) => name);
    expect(names.length).toBeGreaterThan(15);
    expect(names.filter((name) => name !== 'help' && !new RegExp(`\\b${name}\\b`).test(text))).toEqual([]);
  });

  it('and the scripts of package.json likewise', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
    };
    const files = ['README.md', ...globSync('docs/**/*.md', { cwd: root })];
    const unknown = files.flatMap((file) =>
      [...readFileSync(join(root, file), 'utf8').matchAll(/npm run ([a-z:]+)/g)]
        .map(([, name = '']) => name)
        .filter((name) => !(name in scripts))
        .map((name) => `${file}: npm run ${name}`),
    );
    expect(unknown).toEqual([]);
  });
});
