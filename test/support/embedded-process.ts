/**
 * A process of its own that uses the embedded database in the folder that it is given: says `ready <url>` once it may,
 * and leaves on the end of its standard input.
 */
import { startEmbedded } from '../../src/store/embedded-postgres.ts';

const embedded = await startEmbedded(process.argv[2] ?? '');
process.stdout.write(`ready ${embedded.url}\n`);
for await (const _ of process.stdin);
await embedded.stop();
