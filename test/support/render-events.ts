/** docs/events.md, made from the map of events. */
import { EVENTS } from '../../src/shared/log-events.ts';

export function renderEvents(): string {
  const lines = Object.entries(EVENTS)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { level, about }]) => `- \`${name}\` (${level}): ${about}`);
  return `# Events of the log

One JSON line each, on standard output and in \`DATA_DIR/logs\`: \`level\`, \`time\`, \`pid\`, \`event\`, and the fields that \`src/shared/log-events.ts\` gives to its kind. Fields are ids, codes, counts and durations; nothing out of a calendar is logged.

${lines.join('\n')}
`;
}
