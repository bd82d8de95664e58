/** The product as it is, with the simulated clouds in place of Microsoft's. */
import { runProgram } from '../../src/cli/program.ts';
import { mapOrigins } from '../support/graph/origins.ts';

const [originMap = '{}', ...command] = process.argv.slice(2);
process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
const code = await runProgram(command, { fetch: mapOrigins(JSON.parse(originMap) as Record<string, string>) });
process.exit(code);
