/**
 * Four clouds with their own authorities and hosts, as a closed network shows them: TLS by a private authority, one proxy
 * on the way out. The product is the one that operators run: its own fetch, MSAL and the Graph client as they are.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';

import { selfSigned } from '../../src/access/self-signed.ts';
import { compose, type Product } from '../../src/compose.ts';
import { readEnv } from '../../src/config/env.ts';
import type { Cloud } from '../../src/shared/clouds.ts';
import { nullLog } from '../../src/shared/log.ts';
import { saveCloud, saveSource, saveTarget, saveTenant } from '../../src/store/configuration.ts';
import { dueSources } from '../../src/store/sources.ts';
import { startCalDavServer, type CalDavServer } from '../support/caldav/server.ts';
import { certificateAuthority } from '../support/certificate-authority.ts';
import { startConnectProxy, type ConnectProxy } from '../support/connect-proxy.ts';
import { createMigratedDatabase, type TestDatabase } from '../support/database.ts';
import { microsoftClouds } from '../support/graph/clouds.ts';
import { directoryOf } from '../support/graph/people.ts';
import { startGraphSimulator, type GraphSimulator } from '../support/graph/simulator.ts';
import { at } from '../support/one-calendar.ts';
import { aGraphSource, aTarget } from '../support/stage.ts';
import { until } from '../support/until.ts';

const authority = certificateAuthority();
const folder = mkdtempSync(join(tmpdir(), 'calendar-sync-clouds-'));
const caFile = join(folder, 'authority.pem');
const pair = selfSigned({
  commonName: 'calendar-sync',
  notBefore: new Date('2020-01-01T00:00:00Z'),
  notAfter: new Date('2049-01-01T00:00:00Z'),
  bits: 2048,
});
const client = (id: string): string => `1d2e0000-0000-4000-8000-0000000${id.length}${id.charCodeAt(0)}00`.slice(0, 36);
const cloudIds = ['global', 'gcch', 'dod', 'china'] as const;

let simulator: GraphSimulator;
let proxy: ConnectProxy;
let caldav: CalDavServer;
let database: TestDatabase;
let product: Product;
let env: Record<string, string>;
const told: string[] = [];
let position = 0;

const open = (variables: Record<string, string>): Promise<Product> =>
  compose({
    env: readEnv(variables, folder),
    log: { ...nullLog, event: (name, fields) => void told.push(`${name} ${JSON.stringify(fields)}`) },
  });

/** A tenant in one of the clouds with one mailbox, as the configuration has it; `configured` is what is wrong with that. */
async function aTenant(id: string, cloud: string, configured: { cloud?: string; privateKey?: string } = {}) {
  const { db } = product.store;
  const domain = `${id}.example`;
  const mailbox = `ann@${domain}`;
  const tenant = simulator.addTenant({
    cloud,
    directory: directoryOf(domain),
    domain,
    client: client(id),
    certificate: pair.certificate,
  });
  const calendar = tenant.addMailbox({ upn: mailbox }).calendar();
  calendar.createEvent({ subject: `Meeting of ${id}`, start: at(30) });
  await saveTenant(db, product.box, {
    id,
    name: id,
    cloud: configured.cloud ?? cloud,
    directory: directoryOf(domain),
    client: client(id),
    access: 'scoped',
    ceiling: 'full',
    credential: { kind: 'certificate', certificate: pair.certificate, privateKey: pair.privateKey },
  });
  const source = aGraphSource({ id: `s-${id}`, tenant: id, mailbox });
  await product.store.transaction((inside) =>
    saveSource(inside, product.box, source, position++, { bumpsEpoch: true, fullReading: true, isOther: false }),
  );
  return { tenant, calendar, mailbox };
}

async function sync(): Promise<void> {
  const { store, worker } = product;
  for (let due = await dueSources(store.db); due.length > 0; due = await dueSources(store.db))
    for (const id of due) await worker.run('ingest', id);
  await worker.run('deliver', 'me');
}

beforeAll(async () => {
  simulator = await startGraphSimulator({
    tls: (origin) => {
      const { certificate, privateKey } = authority.issue([new URL(origin).hostname]);
      return { cert: certificate, key: privateKey };
    },
  });
  proxy = await startConnectProxy(simulator.originMap);
  caldav = await startCalDavServer({ auth: 'basic' });
  database = await createMigratedDatabase();
  writeFileSync(caFile, authority.certificate);
  env = {
    DATABASE_URL: database.url,
    DATA_DIR: folder,
    ENCRYPTION_KEY: 'ab'.repeat(32),
    HTTPS_PROXY: proxy.url,
    NODE_EXTRA_CA_CERTS: caFile,
    LOG_LEVEL: 'silent',
  };
  product = await open(env);
  await saveTarget(product.store.db, product.box, aTarget(caldav.url));
}, 120_000);
afterAll(async () => {
  await product.close();
  await proxy.close();
  await caldav.close();
  await simulator.close();
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

const shown = (): string[] =>
  [...caldav.objects('alice', 'work').values()].map(({ body }) => /^SUMMARY:(.*?)\r?$/m.exec(body)?.[1] ?? '');
const partsOf = (jwt: string): Record<string, unknown>[] =>
  jwt
    .split('.')
    .slice(0, 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>);

describe('four clouds at once', () => {
  it('are read through unmodified MSAL and Graph client, each at its own hosts and no others', async () => {
    for (const id of cloudIds) await aTenant(id, id);
    await sync();

    expect(shown().toSorted()).toEqual(cloudIds.map((id) => `Meeting of ${id}`).toSorted());
    const hosts = microsoftClouds.flatMap(({ login, graph }) => [login, graph]).map((origin) => new URL(origin).host);
    expect(new Set(proxy.asked)).toEqual(new Set(hosts.map((host) => `${host}:443`)));
  }, 60_000);

  it('get each token only at the Graph host of the cloud that gave it', () => {
    const carrying = simulator.requests.filter(({ headers }) => headers['authorization'] !== undefined);
    expect(carrying.length).toBeGreaterThan(cloudIds.length);
    for (const { url, headers } of carrying) {
      const [payload = ''] = (headers['authorization'] ?? '').replace('Bearer ', '').split('.');
      const { cloud } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { cloud: string };
      expect(new URL(url).origin).toBe(microsoftClouds.find(({ id }) => id === cloud)?.graph);
    }
  });

  it('are signed in to by an assertion with the thumbprint of SHA-256, for that cloud and scope', () => {
    const posts = simulator.requests.filter(
      ({ method, url }) => method === 'POST' && url.includes('/oauth2/v2.0/token'),
    );
    expect(posts).toHaveLength(cloudIds.length);
    for (const { url, body, headers } of posts) {
      const form = new URLSearchParams(body);
      const [head, claims] = partsOf(form.get('client_assertion') ?? '');
      expect(head).toMatchObject({
        alg: expect.stringMatching(/^(PS|RS)256$/),
        'x5t#S256': Buffer.from(pair.thumbprintSha256, 'hex').toString('base64url'),
      });
      expect(String(claims?.['aud'])).toContain(new URL(url).host);
      expect(form.get('client_secret')).toBeNull();
      const graphs = microsoftClouds.filter(({ login }) => login === new URL(url).origin).map(({ graph }) => graph);
      expect(graphs.map((graph) => `${graph}/.default`)).toContain(form.get('scope')?.split(' ')[0]);
      expect(headers['user-agent']).toMatch(/^calendar-sync\//);
    }
  });
});

describe('what does not belong together', () => {
  const failure = async (id: string): Promise<{ message: string; code: string; remedy: string }> => {
    try {
      await (
        await product.sources.graph(id, `ann@${id}.example`)
      ).get({
        mailbox: `ann@${id}.example`,
        to: { path: `/users/ann@${id}.example/calendar` },
        signal: AbortSignal.timeout(10_000),
      });
    } catch (thrown) {
      const error = thrown as { message: string; code: string; recovery: { remedy?: string } };
      return { message: error.message, code: error.code, remedy: error.recovery.remedy ?? '' };
    }
    throw new Error('It was let in.');
  };
  const custom = async (id: string, login: string, graph: string): Promise<void> => {
    const cloud: Cloud = { id, login, graph, portal: null };
    await saveCloud(product.store.db, cloud);
  };

  it('is a key of another certificate than the one at Entra, by its signature', async () => {
    const other = selfSigned({ commonName: 'x', notBefore: new Date(0), notAfter: new Date('2049-01-01'), bits: 2048 });
    const { tenant } = await aTenant('forged', 'gcch');
    tenant.configure({ certificate: other.certificate });
    expect(await failure('forged')).toMatchObject({
      code: 'graph.certificate_refused',
      remedy: expect.stringContaining('Upload the certificate'),
    });
  });

  it('is a tenant of the government in the public cloud', async () => {
    await aTenant('agency', 'gcch', { cloud: 'global' });
    expect(await failure('agency')).toMatchObject({
      code: 'graph.wrong_cloud',
      message: expect.stringContaining('AADSTS900382'),
      remedy: expect.stringContaining('A directory of GCC High needs cloud: gcch'),
    });
  });

  it('is the login host of one cloud with the Graph host of another', async () => {
    await custom('mixed', 'https://login.microsoftonline.us', 'https://graph.microsoft.com');
    await aTenant('mixed', 'gcch', { cloud: 'mixed' });
    expect(await failure('mixed')).toMatchObject({
      code: 'graph.resource_unknown',
      message: expect.stringContaining('AADSTS500011'),
      remedy: expect.stringContaining('another cloud'),
    });
  });

  it('is a token at a Graph host that did not ask for it', async () => {
    await aTenant('audience', 'dod');
    simulator.fail({
      match: /ann@audience\.example/,
      how: {
        answer: {
          status: 401,
          body: {
            error: {
              code: 'InvalidAuthenticationToken',
              message: 'Access token validation failure. Invalid audience.',
            },
          },
        },
      },
    });
    expect(await failure('audience')).toMatchObject({
      code: 'graph.wrong_cloud',
      remedy: expect.stringContaining('Login host and Graph host belong to different clouds'),
    });
  });
});

describe.each([
  ['another cloud', 'https://graph.microsoft.com/v1.0/users/x/calendarView/delta?$deltatoken=t'],
  ['nowhere that we know', 'https://evil.example/v1.0/users/x/calendarView/delta?$deltatoken=t'],
])('a link that leads to %s', (name, link) => {
  it('is refused and recorded as a security event, and nothing goes there', async () => {
    const id = `led-${name.length}`;
    const { calendar } = await aTenant(id, 'gcch');
    const { requests } = simulator;
    const [before, asked] = [requests.length, proxy.asked.length];
    const answer = { status: 200, body: { value: [], '@odata.deltaLink': link } };
    simulator.fail({ match: new RegExp(`ann@${id}.*delta`), how: { answer } });
    calendar.createEvent({ subject: 'More', start: at(31) });
    await product.worker.run('ingest', `s-${id}`);

    const source = await sql<{ code: string }>`select paused_code as code from source where id = ${`s-${id}`}`.execute(
      product.store.db,
    );
    expect(source.rows[0]?.code).toBe('graph.foreign_link');
    const { host } = new URL(link);
    await until('the audit has it', async () => {
      const found = await sql`
        select from audit where action = 'security.foreign_link' and subject = ${`tenants/${id}`}
          and detail->>'host' = ${host}`.execute(product.store.db);
      return found.rows.length === 1;
    });
    expect(told).toContain(`security.foreign_link {"tenant":"${id}","host":"${host}"}`);
    expect(requests.slice(before).filter(({ url }) => !url.includes('.us/'))).toEqual([]);
    expect(proxy.asked.slice(asked).filter((place) => !place.endsWith('.us:443'))).toEqual([]);
  });
});

describe('doctor, as a process of its own', () => {
  const doctor = () =>
    new Promise<Map<string, { state: string; says: string }>>((resolve, reject) => {
      const main = join(import.meta.dirname, '../../src/main.ts');
      const options = { cwd: folder, env: { PATH: process.env['PATH'], ...env }, timeout: 60_000 };
      execFile(process.execPath, [main, 'doctor', '--json'], options, (_, stdout, stderr) => {
        try {
          const { checks } = JSON.parse(stdout) as { checks: { name: string; state: string; says: string }[] };
          resolve(new Map(checks.map((one) => [one.name, one])));
        } catch {
          reject(new Error(`No JSON: ${stdout}${stderr}`));
        }
      });
    });

  it('reaches each cloud through the proxy, and lists the hosts that are contacted', async () => {
    const checks = await doctor();
    for (const id of cloudIds) {
      expect(checks.get(`tenant ${id}: access`)).toMatchObject({ state: 'ok' });
      expect(checks.get(`source s-${id}`)).toMatchObject({ state: 'ok' });
    }
    const says = checks.get('hosts that are contacted')?.says ?? '';
    for (const { login, graph } of microsoftClouds) {
      expect(says).toContain(new URL(login).host);
      expect(says).toContain(new URL(graph).host);
    }
    expect(says).toContain(`by way of ${new URL(proxy.url).host}`);
  }, 60_000);
});

describe('without the private authority', () => {
  it('it is said that the certificate is not trusted, and what to do', async () => {
    const { NODE_EXTRA_CA_CERTS: _, ...without } = env;
    const other = await open(without);
    const client = await other.sources.graph('gcch');
    await expect(client.signIn()).rejects.toMatchObject({
      code: 'graph.certificate_untrusted',
      message: expect.stringContaining('The certificate of login.microsoftonline.us is not trusted'),
      recovery: { kind: 'operator', remedy: expect.stringContaining('NODE_EXTRA_CA_CERTS') },
    });
    await other.close();
  });
});
