/** The smallest world that tests of the simulator start from. */
import type { OutlookCalendar } from './outlook.ts';
import { directoryOf } from './people.ts';
import { RawClient } from './raw-client.ts';
import { startGraphSimulator, type SimulatorOptions } from './simulator.ts';
import type { ItemState } from './state.ts';

/** One tenant with Ann's mailbox in Berlin, on 1 May 2026 at noon UTC. Close the simulator after use. */
export async function contoso(options: SimulatorOptions = {}) {
  const simulator = await startGraphSimulator({ now: () => new Date('2026-05-01T12:00:00Z'), ...options });
  const domain = 'contoso.example';
  const tenant = simulator.addTenant({ directory: directoryOf(domain), domain, client: 'app-1', secret: 'right' });
  const ann = tenant.addMailbox({ upn: 'ann@contoso.example', name: 'Ann', zone: 'W. Europe Standard Time' });
  return { simulator, tenant, ann, calendar: ann.calendar(), client: new RawClient(simulator, tenant.state) };
}

/** Tuesdays of May 2026 at nine in Berlin: 5, 12, 19, 26. */
export function tuesdays(calendar: OutlookCalendar): ItemState {
  return calendar.createSeries({
    subject: 'Review',
    pattern: { type: 'weekly', daysOfWeek: ['tuesday'] },
    range: { type: 'endDate', startDate: '2026-05-05', endDate: '2026-05-26' },
    start: '09:00',
  });
}
