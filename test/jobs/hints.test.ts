import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import { openHints, type Hints } from '../../src/jobs/hints.ts';
import { nullLog } from '../../src/shared/log.ts';
import { createMigratedDatabase, type TestDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';

let database: TestDatabase;
let opened: Hints[];
let giveBack: () => void;

beforeEach(async () => {
  database = await createMigratedDatabase();
  opened = [];
  giveBack = () => undefined;
});
afterEach(async () => {
  giveBack();
  for (const hints of opened) await hints.stop();
  await database.drop();
});

async function open(): Promise<Hints> {
  const hints = await openHints(database.url, nullLog);
  opened.push(hints);
  return hints;
}

describe('hints', () => {
  it('that a worker took up and never gave back keep none from the others', async () => {
    const dead = await open();
    const stuck: string[] = [];
    await dead.work((_kind, id) => {
      stuck.push(id);
      return new Promise((resolve) => (giveBack = resolve));
    });
    dead.send('ingest', 'a');
    await until('it is taken up', () => stuck.length === 1);

    const taken: string[] = [];
    const live = await open();
    await live.work((_kind, id) => Promise.resolve(void taken.push(id)));
    live.send('ingest', 'a');
    live.send('ingest', 'b');
    await until('both are taken up', () => taken.length === 2, 5_000);
    expect(taken.toSorted()).toEqual(['a', 'b']);
  });

  it('for one row coalesce as long as nobody has taken them up', async () => {
    const hints = await open();
    for (let count = 0; count < 20; count += 1) hints.send('deliver', 'me');
    const taken: string[] = [];
    await hints.work((_kind, id) => Promise.resolve(void taken.push(id)));
    hints.send('deliver', 'you');
    await until('the last is taken up', () => taken.includes('you'));
    expect(taken.filter((id) => id === 'me').length).toBeLessThanOrEqual(2);
    expect(taken).toContain('me');
  });
});
