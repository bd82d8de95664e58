// The arrows of docs/architecture.md as rules: which room may import which.
const room = (name, allowed, extra = {}) => ({
  name: `room-${name.replaceAll('/', '-')}`,
  severity: 'error',
  comment: `${name} may import only: ${allowed.join(', ') || 'nothing'}`,
  from: { path: `^src/${name}/`, ...extra },
  to: { path: '^src/', pathNot: [`^src/${name}/`, ...allowed.map((other) => `^src/${other}`)] },
});
const soleUser = (library, where) => ({
  name: `sole-user-of-${library.replaceAll(/[^a-z.]/g, '-')}`,
  severity: 'error',
  from: { path: '^src/', pathNot: where },
  to: { path: `node_modules/${library}/` },
});

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    room('shared', []),
    room('config', ['shared/', 'calendar/']),
    room('calendar', ['shared/']),
    room('dav', ['shared/']),
    room('sources/graph', ['sources/source.ts', 'calendar/', 'shared/']),
    room('sources/caldav', ['sources/source.ts', 'calendar/', 'dav/', 'shared/']),
    room('sources/ics', ['sources/source.ts', 'calendar/', 'shared/']),
    room('sources/powerautomate', ['sources/source.ts', 'calendar/', 'shared/']),
    room('consolidate', ['calendar/', 'shared/']),
    room('store', ['calendar/', 'consolidate/', 'config/model.ts', 'shared/']),
    room('ingest', ['sources/source.ts', 'calendar/', 'config/model.ts', 'consolidate/', 'store/', 'shared/']),
    room('deliver', ['dav/', 'calendar/', 'consolidate/', 'store/', 'shared/']),
    room('compare', ['sources/source.ts', 'calendar/', 'consolidate/', 'dav/', 'store/', 'shared/']),
    room('jobs', ['compare/', 'ingest/', 'deliver/', 'sources/graph/(?:plan-)?subscriptions.ts', 'store/', 'shared/']),
    room('report', ['calendar/', 'config/model.ts', 'store/', 'shared/']),
    room('access', ['sources/graph/', 'store/', 'web/', 'config/model.ts', 'calendar/', 'shared/']),
    room('http', [
      'access/consent-desk.ts',
      'store/',
      'web/',
      'report/',
      'deliver/plan-writes.ts',
      'sources/graph/notification.ts',
      'sources/powerautomate/',
      'shared/',
    ]),
    room('web', ['store/', 'report/', 'calendar/', 'shared/']),
    soleUser('ical.js', '^src/calendar/'),
    soleUser('tsdav', '^src/dav/'),
    soleUser('@azure/msal-node', '^src/sources/graph/'),
    soleUser('@microsoft/microsoft-graph-client', '^src/sources/graph/'),
    soleUser('pg-boss', '^src/jobs/'),
    soleUser('node-schedule', '^src/jobs/'),
    soleUser('@mikro-orm', '^src/store/'),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.json'],
    },
  },
};
