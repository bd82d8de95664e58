/** The demo's Microsoft: both clouds with their tenants, whose people go on changing their calendars when told to. */
import { demoWorld } from '../support/graph/demo-world.ts';
import { startGraphSimulator } from '../support/graph/simulator.ts';
import type { CloudsAnswer, CloudsRequest } from './messages.ts';

const [stateFile = '', listenOn = '{}'] = process.argv.slice(2);
const simulator = await startGraphSimulator({
  stateFile,
  listenOn: JSON.parse(listenOn) as Record<string, string>,
});
const world = demoWorld(simulator);
const answer = (message: CloudsAnswer): void => void process.send?.(message);

process.on('message', ({ id, ask }: CloudsRequest) => {
  if (ask.kind === 'step') answer({ id, answer: { kind: 'step', sentence: world.step() } });
  else
    answer({
      id,
      answer: {
        kind: 'truth',
        calendars: world.calendars.map((calendar) => [...simulator.expected(calendar, ask.window)]),
      },
    });
});
// Without its supervisor nobody needs it.
process.on('disconnect', () => process.exit(0));
answer({
  id: 0,
  answer: {
    kind: 'ready',
    originMap: simulator.originMap,
    tenants: world.tenants.map(({ cloud, directory, client, secret }) => ({ cloud, directory, client, secret })),
  },
});
