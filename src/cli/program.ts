import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { SyncError } from '../shared/errors.ts';
import type { AuditQuery, HistoryQuery } from '../store/history.ts';
import { version } from '../version.ts';
import { backup } from './backup.ts';
import { listAlarms, testAlarms } from './alarms.ts';
import { applyCommand, diffCommand, exportCommand } from './apply.ts';
import { showAudit, showConflicts } from './books.ts';
import { calendars } from './calendars.ts';
import { createCertificate } from './cert.ts';
import { consent } from './consent.ts';
import { exitCodes, tellFailure, type Overrides } from './context.ts';
import { doctor } from './doctor.ts';
import { explain } from './explain.ts';
import { showDataReport } from './data-report.ts';
import { forget } from './forget.ts';
import { decide, recreate, showHeld } from './guard.ts';
import { showHistory } from './history.ts';
import { pin, showPins } from './pin.ts';
import { listJobs, retryJobs } from './jobs.ts';
import { plan } from './plan.ts';
import { probe } from './probe.ts';
import { retireLegacy } from './retire-legacy.ts';
import { approve, loadFromStdin, mark, restore, status } from './restore.ts';
import { rotateKey } from './rotate-key.ts';
import { serve } from './serve.ts';
import { signIn } from './sign-in.ts';
import { syncNow } from './sync.ts';
import { restoreAll, restoreOne, showTrash } from './trash.ts';
import { verify } from './verify.ts';

const help = {
  codes: `
Exit codes: 0 all went well, 1 trouble was found, 2 wrong usage or configuration (nothing was changed),
3 something needed does not answer.`,
};

const settingsOfScripts = `
BACKUP_DIR (./data/backups), BACKUP_KEEP (14), BACKUP_KEY_FILE (a passphrase; archives are encrypted) and BAIKAL_DATA
(the folder with Baikal's config and Specific) are read from the environment; docs/operations.md has the whole story.`;

interface Json {
  readonly json?: boolean;
}

/** Runs one command line. Gives the exit code; never throws for what a person did wrong. */
export async function runProgram(args: readonly string[], overrides: Overrides): Promise<number> {
  let code: number = exitCodes.ok;
  const isJson = args.includes('--json');
  const program = new Command('calendar-sync')
    .description('Mirrors the calendars of several Microsoft 365 tenants into one CalDAV account.')
    .version(version)
    .exitOverride()
    .configureOutput({
      // As JSON it is told below.
      outputError: (text, print) => {
        if (!isJson) print(text);
      },
    })
    .configureHelp({ sortSubcommands: false })
    // An option after the name of a command is that command's, also where the one above has the same.
    .enablePositionalOptions()
    .addHelpText('after', help.codes);
  const json = new Option('--json', 'print JSON for programs');
  const command = (
    name: string,
    description: string,
    examples: readonly string[],
    parent: Command = program,
  ): Command =>
    parent
      .command(name)
      .description(description)
      .addHelpText('after', `\nExamples:\n${examples.map((example) => `  calendar-sync ${example}`).join('\n')}`);

  for (const [name, description] of [
    ['serve', 'Run the whole service: HTTP and one worker.'],
    ['web', 'Run only the HTTP door; workers run elsewhere.'],
    ['worker', 'Run only a worker; any number may share one database.'],
  ] as const)
    command(name, description, [name]).action(async () => {
      code = await serve(name, overrides);
    });

  command('sync [source]', 'Read one source, or all, deliver what changed, and wait for it.', [
    'sync',
    'sync contoso-me --full',
  ])
    .option('--full', 'compare everything in the window, not only what changed')
    .addOption(json)
    .action(async (source: string | undefined, options: Json & { full?: boolean }) => {
      code = await syncNow(source ?? null, { json: options.json ?? false, full: options.full ?? false }, overrides);
    });

  command('verify [source]', 'Compare the target with what each source shows now. Reads only.', [
    'verify',
    'verify contoso-me --json',
  ])
    .addOption(json)
    .action(async (source: string | undefined, options: Json) => {
      code = await verify(source ?? null, { json: options.json ?? false }, overrides);
    });

  command('apply [file]', 'Make the configuration what the file says.', ['apply', 'apply calendars.yaml --prune'])
    .option('--prune', 'also remove what the file does not have')
    .addOption(json)
    .action(async (file: string | undefined, options: Json & { prune?: boolean }) => {
      code = await applyCommand(
        file ?? null,
        { json: options.json ?? false, prune: options.prune ?? false },
        overrides,
      );
    });

  command('diff [file]', 'Show what apply would change. Exits with 1 when something would.', [
    'diff',
    'diff calendars.yaml --prune',
  ])
    .option('--prune', 'as for apply')
    .addOption(json)
    .action(async (file: string | undefined, options: Json & { prune?: boolean }) => {
      code = await diffCommand(file ?? null, { json: options.json ?? false, prune: options.prune ?? false }, overrides);
    });

  command(
    'plan [file]',
    'Show everything that would be written to the targets, and why; with a file, under its configuration. Writes nothing.',
    ['plan', 'plan calendars.yaml --prune'],
  )
    .option('--prune', 'as for apply')
    .addOption(json)
    .action(async (file: string | undefined, options: Json & { prune?: boolean }) => {
      code = await plan({ json: options.json ?? false, file: file ?? null, prune: options.prune ?? false }, overrides);
    });

  command('export', 'Print the configuration as a file for apply; secrets as references, never themselves.', [
    'export > calendars.yaml',
  ])
    .addOption(json)
    .action(async (options: Json) => {
      code = await exportCommand(options.json ?? false, overrides);
    });

  command('doctor', 'Check everything that must work, with a remedy for what does not. Reads only.', [
    'doctor',
    'doctor --json',
  ])
    .addOption(json)
    .action(async (options: Json) => {
      code = await doctor(options.json ?? false, overrides);
    });

  command(
    'probe <tenant>',
    'Ask a tenant how its Graph answers where that is not known for sure, and read accordingly. Reads only.',
    [
      'probe contoso',
      'probe agency --mailbox kim@agency.example --save ./agency-probe',
      'probe contoso --subscribe --json',
    ],
  )
    .option('--mailbox <address...>', 'ask these instead of the calendars that sources read')
    .option('--subscribe', 'also make a subscription or two and end them at once; the service must run')
    .option('--save <folder>', 'where the scrubbed exchanges go, instead of DATA_DIR/probes/<tenant>-<time>')
    .option('--no-save', 'keep the answers, but no exchanges')
    .addOption(json)
    .addHelpText(
      'after',
      `
What is asked, and what each answer changes, is printed as a table. Nothing of subjects, bodies, names or addresses is
printed or saved; times stay. Where Graph refuses or fails, nothing is kept, and the exit code is 3.`,
    )
    .action(
      async (
        tenant: string,
        {
          mailbox = [],
          subscribe = false,
          save,
          json: isProgram = false,
        }: Json & { mailbox?: string[]; subscribe?: boolean; save?: string | boolean },
      ) => {
        const where = typeof save === 'string' ? save : save === false ? false : null;
        code = await probe(tenant, { json: isProgram, mailboxes: mailbox, subscribe, save: where }, overrides);
      },
    );

  command(
    'sign-in <tenant> <mailbox>',
    'Sign a person in by a code, where the page of Microsoft cannot lead back here.',
    ['sign-in contoso me@contoso.example'],
  )
    .addOption(json)
    .action(async (tenant: string, mailbox: string, options: Json) => {
      code = await signIn(tenant, mailbox, options.json ?? false, overrides);
    });

  const cert = program.command('cert').description('Certificates by which a tenant’s app proves itself.');
  command('create <tenant>', 'Make a certificate and its key, and say what to upload.', ['cert create agency'], cert)
    .option('--folder <path>', 'where the two files go', '.')
    .option('--years <n>', 'how long it is good', parseCount, 2)
    .option('--force', 'replace files that are there')
    .addOption(json)
    .action((tenant: string, options: Json & { folder: string; years: number; force?: boolean }) => {
      const { folder, years, force = false } = options;
      code = createCertificate(tenant, { json: options.json ?? false, folder, years, force });
    });

  command(
    'calendars <tenant> [mailbox]',
    'List a tenant’s mailboxes, or the calendars of one, and how to name them in the configuration. Reads only.',
    ['calendars contoso', 'calendars contoso me@contoso.example --json'],
  )
    .addOption(json)
    .action(async (tenant: string, mailbox: string | undefined, options: Json) => {
      code = await calendars(tenant, mailbox ?? null, options.json ?? false, overrides);
    });

  command('consent <tenant>', 'Make a link that opens the consent pages for a tenant’s administrator.', [
    'consent contoso',
    'consent agency --hours 24',
    'consent agency --script > grant.ps1',
    'consent agency --close',
  ])
    .option('--hours <n>', 'how long the link opens them', parseCount, 72)
    .option('--close', 'close all links of the tenant instead')
    .option('--script', 'print the PowerShell script of the scoped way instead')
    .addOption(json)
    .action(async (tenant: string, options: Json & { hours: number; close?: boolean; script?: boolean }) => {
      const { hours, close = false, script = false } = options;
      code = await consent(tenant, { json: options.json ?? false, hours, close, script }, overrides);
    });

  command(
    'explain <query>',
    'Tell the whole story of a series: what each source says of it, what shows and why, what was written.',
    ['explain "Board meeting"', 'explain xkqsore22gvnjup6ee6urqhmts@5897a53bc7.calendar-sync --json'],
  )
    .addOption(json)
    .action(async (query: string, options: Json) => {
      code = await explain(query, options.json ?? false, overrides);
    });

  command('history', 'Show what was written and what was left out, newest first.', [
    'history --status error --limit 50',
    'history --source contoso-me --since 2026-11-01T00:00:00Z',
  ])
    .addOption(new Option('--status <status>', 'only these').choices(['ok', 'error']))
    .option('--source <id>', 'only of this source')
    .option('--target <id>', 'only of this target')
    .option('--action <name>', 'only this action: create, update, delete, ingest, hold, pause…')
    .option('--uid <uid>', 'only of the meeting that the target shows under this UID')
    .option('--since <instant>', 'only from then on, ISO 8601', parseInstant)
    .option('--until <instant>', 'only before then, ISO 8601', parseInstant)
    .option('--limit <n>', 'how many lines', parseCount, 30)
    .addOption(json)
    .action(async (options: Json & HistoryQuery) => {
      code = await showHistory(options, options.json ?? false, overrides);
    });

  command('conflicts', 'List where copies of a meeting disagree: both values, and the rule that decided.', [
    'conflicts',
    'conflicts --all --source contoso-me',
  ])
    .option('--all', 'also those that have closed')
    .option('--source <id>', 'only those that this source has to do with')
    .option('--target <id>', 'only of this target')
    .option('--limit <n>', 'how many', parseCount, 50)
    .addOption(json)
    .action(async ({ all, ...options }: Json & { all?: boolean; source?: string; target?: string; limit: number }) => {
      const state = all === true ? 'all' : 'open';
      code = await showConflicts({ ...options, state }, options.json ?? false, overrides);
    });

  command('pin <uid> <source>', "Let one source's copy of a meeting show, whatever the rules say.", [
    'pin xkqsore22gvnjup6ee6urqhmts@5897a53bc7.calendar-sync contoso-me',
  ])
    .addOption(json)
    .action(async (uid: string, source: string, options: Json) => {
      code = await pin(uid, source, options.json ?? false, overrides);
    });
  command('unpin <uid>', 'Let the rules decide again whose copy shows.', [
    'unpin xkqsore22gvnjup6ee6urqhmts@5897a53bc7.calendar-sync',
  ])
    .addOption(json)
    .action(async (uid: string, options: Json) => {
      code = await pin(uid, null, options.json ?? false, overrides);
    });
  command('pins', 'List what is pinned.', ['pins'])
    .addOption(json)
    .action(async (options: Json) => {
      code = await showPins(options.json ?? false, overrides);
    });

  command('audit', 'Show who changed what: every change of the configuration and every act of an operator.', [
    'audit --action config --since 2026-11-01T00:00:00Z',
    'audit --subject sources/contoso-me',
  ])
    .option('--actor <name>', 'only by this one: cli, api, web, start')
    .option('--action <name>', 'only this action, or those that begin with it: config, guard.approve, trash')
    .option('--subject <name>', 'only what was done with this')
    .option('--since <instant>', 'only from then on, ISO 8601', parseInstant)
    .option('--until <instant>', 'only before then, ISO 8601', parseInstant)
    .option('--limit <n>', 'how many lines', parseCount, 30)
    .addOption(json)
    .action(async (options: Json & AuditQuery) => {
      code = await showAudit(options, options.json ?? false, overrides);
    });

  command(
    'data-report <tenant>',
    "Tell what becomes of a tenant's data: which field goes where, and how long it stays.",
    ['data-report contoso', 'data-report contoso --json > contoso.json'],
  )
    .addOption(json)
    .action(async (tenant: string, options: Json) => {
      code = await showDataReport(tenant, options.json ?? false, overrides);
    });

  command(
    'forget [tenant]',
    'Remove everything of a tenant or of one source, here and in the targets, and tell what was where.',
    ['forget contoso --dry-run', 'forget contoso --yes', 'forget --source icloud-home'],
  )
    .option('--source <id>', 'this source alone, of whatever kind')
    .option('--dry-run', 'only count what would be removed')
    .option('--yes', 'ask nothing (a terminal is asked, a script never is)')
    .addOption(json)
    .action(
      async (tenant: string | undefined, options: Json & { source?: string; dryRun?: boolean; yes?: boolean }) => {
        const { source, dryRun = false, yes = false, json: isJson = false } = options;
        if ((tenant === undefined) === (source === undefined))
          throw new InvalidArgumentError('Name either a tenant, or a source with --source.');
        const what = {
          kind: tenant === undefined ? ('source' as const) : ('tenant' as const),
          id: tenant ?? source ?? '',
        };
        code = await forget(what, { json: isJson, dryRun, yes }, overrides);
      },
    );

  const guard = program.command('guard').description('Removals that were too many at once and wait for a decision.');
  command('list', 'List what is held.', ['guard list'], guard)
    .addOption(json)
    .action(async (options: Json) => {
      code = await showHeld(options.json ?? false, overrides);
    });
  for (const [decision, description] of [
    ['approve', 'Carry the held removals of a source out.'],
    ['discard', 'Keep the events, and read the source anew.'],
  ] as const)
    command(`${decision} <source>`, description, [`guard ${decision} contoso-me`], guard)
      .addOption(json)
      .action(async (source: string, options: Json) => {
        code = await decide(decision, source, options.json ?? false, overrides);
      });

  command(
    'recreate <target/calendar>',
    'Make a calendar again that is gone from its server, with all that shows in it.',
    ['guard recreate me/work'],
    guard,
  )
    .addOption(json)
    .action(async (place: string, options: Json) => {
      code = await recreate(place, options.json ?? false, overrides);
    });

  const jobs = program.command('jobs').description('Work that failed: what becomes of it, and trying it again.');
  command(
    'list',
    'List what failed, and what is under way. Exits with 1 when something waits for you.',
    ['jobs list'],
    jobs,
  )
    .option('--limit <n>', 'how many', parseCount, 100)
    .addOption(json)
    .action(async (options: Json & { limit: number }) => {
      code = await listJobs({ json: options.json ?? false, limit: options.limit }, overrides);
    });
  command(
    'retry [job]',
    'Try a job of the list again now, or all of them.',
    ['jobs retry', 'jobs retry source:contoso-me'],
    jobs,
  )
    .addOption(json)
    .action(async (job: string | undefined, options: Json) => {
      code = await retryJobs(job ?? null, options.json ?? false, overrides);
    });

  const alarms = program.command('alarms').description('What the operator is told of, and how.');
  command('list', 'List what is wrong now. Exits with 1 when something is.', ['alarms list'], alarms)
    .addOption(json)
    .action(async (options: Json) => {
      code = await listAlarms(options.json ?? false, overrides);
    });
  command(
    'test',
    'Send a trial message on every channel that is set up. Exits with 1 when one does not take it.',
    ['alarms test'],
    alarms,
  )
    .addOption(json)
    .action(async (options: Json) => {
      code = await testAlarms(options.json ?? false, overrides);
    });

  const trash = program.command('trash').description('What was deleted from targets in the last 30 days.');
  command('list', 'List what was deleted, newest first.', ['trash list', 'trash list --target me'], trash)
    .option('--target <id>', 'only of this target')
    .option('--limit <n>', 'how many', parseCount, 30)
    .addOption(json)
    .action(async (options: Json & { target?: string; limit: number }) => {
      code = await showTrash(options, options.json ?? false, overrides);
    });
  command(
    'restore [id]',
    'Put a deleted meeting back, or all that was deleted since an instant.',
    ['trash restore 17', 'trash restore --since 2026-11-25T08:00:00Z --target me'],
    trash,
  )
    .option('--since <instant>', 'all that was deleted from then on, ISO 8601', parseInstant)
    .option('--until <instant>', 'and before then', parseInstant)
    .option('--target <id>', 'only of this target')
    .addOption(json)
    .action(async (id: string | undefined, options: Json & { since?: Date; until?: Date; target?: string }) => {
      if (id !== undefined && !/^[1-9][0-9]{0,17}$/.test(id))
        throw new InvalidArgumentError('Give an id of "trash list".');
      if ((id === undefined) === (options.since === undefined))
        throw new InvalidArgumentError('Give either an id of "trash list", or --since.');
      const { since, json: isJson } = options;
      code =
        id !== undefined || since === undefined
          ? await restoreOne(id ?? '', isJson ?? false, overrides)
          : await restoreAll({ ...options, since }, isJson ?? false, overrides);
    });

  command(
    'rotate-key',
    'Seal all secrets with the present ENCRYPTION_KEY; the former one stands in ENCRYPTION_KEYS_OLD until then.',
    ['rotate-key'],
  )
    .addOption(json)
    .action(async (options: Json) => {
      code = await rotateKey(options.json ?? false, overrides);
    });

  command(
    'retire-legacy [mapping]',
    'Move what the program before had written to the trash, where ours is there. Without --for-real it only tells.',
    [
      'retire-legacy mapping.csv --target me',
      'retire-legacy mapping.csv --target me --for-real',
      'retire-legacy --target me --vdirsyncer home',
    ],
  )
    .requiredOption('--target <id>', 'the account in which the entries are')
    .option('--vdirsyncer <calendar>', 'instead of a list: what of this calendar a source of ours has by its UID')
    .option('--unmatched-too', 'also those that no source of ours has')
    .option('--for-real', 'do it')
    .addOption(json)
    .action(
      async (
        file: string | undefined,
        options: Json & { target: string; vdirsyncer?: string; unmatchedToo?: boolean; forReal?: boolean },
      ) => {
        if ((file === undefined) === (options.vdirsyncer === undefined))
          throw new InvalidArgumentError('Name a list, or a calendar with --vdirsyncer.');
        if (options.vdirsyncer !== undefined && options.unmatchedToo === true)
          throw new InvalidArgumentError('Of a calendar only what is replaced can go; its other entries may be yours.');
        code = await retireLegacy(
          file ?? null,
          {
            json: options.json ?? false,
            target: options.target,
            vdirsyncer: options.vdirsyncer ?? null,
            unmatchedToo: options.unmatchedToo ?? false,
            isForReal: options.forReal ?? false,
          },
          overrides,
        );
      },
    );

  command('backup', 'Back up the database, Baikal and the configuration into one archive, while the service runs.', [
    'backup',
    'backup --stdout | gzip > calendardb.gz',
  ])
    .option('--stdout', 'write only the database, to standard output')
    .addHelpText('after', settingsOfScripts)
    .action(async (options: { stdout?: boolean }) => {
      code = await backup(options.stdout ?? false);
    });

  const restoring = command(
    'restore [archive]',
    'Put a backup back. Nothing is written to a target before you have seen the plan and approved it.',
    ['restore data/backups/calendar-sync-20261125T031500Z.tar.gz', 'plan', 'restore approve me'],
  )
    .option('--replace', 'throw away what the database holds; move Baikal aside')
    .addOption(new Option('--only <part>', 'put only one of the two back').choices(['database', 'baikal']))
    .addHelpText('after', settingsOfScripts)
    .action(async (archive: string | undefined, options: { replace?: boolean; only?: string }) => {
      if (archive === undefined) throw new InvalidArgumentError('Name an archive, or one of the commands above.');
      code = await restore(archive, { replace: options.replace ?? false, only: options.only ?? null });
    });
  restoring.enablePositionalOptions();
  command('status', 'Tell which targets wait after a restore, and for what.', ['restore status'], restoring)
    .addOption(json)
    .action(async (options: Json) => {
      code = await status(options.json ?? false, overrides);
    });
  command(
    'approve [target]',
    'Deliver what "plan" shows, after a restore.',
    ['restore approve', 'restore approve me'],
    restoring,
  )
    .option('--anyway', 'although a source has not been read; entries that nobody claims then stay')
    .addOption(json)
    .action(async (target: string | undefined, options: Json & { anyway?: boolean }) => {
      code = await approve(target ?? null, { json: options.json ?? false, anyway: options.anyway ?? false }, overrides);
    });
  command(
    'mark <side>',
    'Say that the database, or the target, was put back by other means, like a snapshot of a machine.',
    ['restore mark target'],
    restoring,
  )
    .addOption(json)
    .action(async (side: string, options: Json) => {
      if (side !== 'database' && side !== 'target') throw new InvalidArgumentError('Say "database" or "target".');
      code = await mark(side, options.json ?? false, overrides);
    });
  command(
    'load',
    'Put the database that "backup --stdout" wrote back, from standard input.',
    ['restore load --replace < calendardb'],
    restoring,
  )
    .option('--replace', 'throw away what the database holds')
    .option('--name <archive>', 'what the audit calls it', 'standard input')
    .action(async (options: { replace?: boolean; name: string }) => {
      code = await loadFromStdin({ replace: options.replace ?? false, archive: options.name });
    });

  try {
    await program.parseAsync(['node', 'calendar-sync', ...args]);
    return code;
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) return tellFailure(thrown, isJson);
    // Thrown by a command itself: nobody has told of it yet.
    if (thrown instanceof InvalidArgumentError) return tellFailure(wrongUsage(thrown), isJson);
    // Commander has told the person already; asking for help or the version is no fault.
    if (thrown.exitCode === 0) return exitCodes.ok;
    if (isJson) tellFailure(wrongUsage(thrown), true);
    return exitCodes.invalid;
  }
}

function wrongUsage({ message }: CommanderError): SyncError {
  return new SyncError(message.replace(/^error: /, ''), {
    code: 'cli.usage',
    recovery: { kind: 'operator', remedy: 'See "calendar-sync --help", or --help after a command.' },
  });
}

function parseInstant(text: string): Date {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) throw new InvalidArgumentError('Write an instant like 2026-11-01T00:00:00Z.');
  return at;
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 10_000)
    throw new InvalidArgumentError('Write a whole number from 1 to 10000.');
  return count;
}
