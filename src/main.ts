#!/usr/bin/env node
import { enableCompileCache } from 'node:module';

// Compiled (and type-stripped) code is kept between starts, which takes about half of a start's time away. It must be
// on before anything else is loaded.
enableCompileCache();
// Whoever reads the output may stop reading (`history | head`); what was begun still comes to its end.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
const { runProgram } = await import('./cli/program.ts');

process.exitCode = await runProgram(process.argv.slice(2), {});
