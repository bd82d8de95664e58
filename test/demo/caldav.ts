/** The demo's CalDAV server; any CalDAV client may look into it. */
import { startCalDavServer } from '../support/caldav/server.ts';

const [stateFile = '', port = '0'] = process.argv.slice(2);
const server = await startCalDavServer({
  stateFile,
  port: Number(port),
  auth: 'basic',
  users: [{ name: 'demo', password: 'demo', email: 'demo@dav.example' }],
});
process.on('disconnect', () => process.exit(0));
process.send?.({ url: server.url });
