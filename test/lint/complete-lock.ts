/**
 * Completes package-lock.json after `npm install`: a registry that lacks other platforms' optional builds leaves them
 * out of the lock, and `npm ci` on those platforms then fails with "Missing: … from lock file". Every name that any
 * package lists as optional gets an entry, its os, cpu and libc derived from its name.
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface LockEntry {
  version?: string;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  resolved?: string;
  optionalDependencies?: Record<string, string>;
}

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, LockEntry> };
const systems = [
  'darwin',
  'linux',
  'win32',
  'windows',
  'freebsd',
  'android',
  'openharmony',
  'aix',
  'sunos',
  'openbsd',
  'netbsd',
];
const processors = ['x64', 'arm64', 'arm', 'ia32', 'ppc64', 'riscv64', 's390x', 'loong64', 'wasm32'];

let added = 0;
for (const [path, entry] of Object.entries(lock.packages)) {
  for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
    const nested = `${path}/node_modules/${name}`;
    const top = `node_modules/${name}`;
    if (lock.packages[top] !== undefined || lock.packages[nested] !== undefined) continue;
    const words = name.split(/[/-]/);
    const os = systems
      .filter((system) => words.includes(system))
      .map((system) => (system === 'windows' ? 'win32' : system));
    const cpu = processors.filter((processor) =>
      words.some((word) => word === processor || (processor === 'arm' && /^arm(v\d.*)?$/.test(word))),
    );
    const libc = words.includes('musl') ? ['musl'] : words.includes('gnu') || words.includes('glibc') ? ['glibc'] : [];
    lock.packages[top] = {
      version: range.replace(/^[\^~]/, ''),
      optional: true,
      ...(os.length > 0 ? { os } : {}),
      ...(cpu.length > 0 ? { cpu } : {}),
      ...(libc.length > 0 ? { libc } : {}),
    };
    added += 1;
  }
}
for (const entry of Object.values(lock.packages)) delete entry.resolved;

const sorted = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync('package-lock.json', `${JSON.stringify({ ...lock, packages: sorted }, null, 2)}\n`);
console.log(`package-lock.json: ${added} optional packages added`);
