import type { Env } from '../config/env.ts';
import type { Model } from '../config/model.ts';
import type { Cloud } from '../shared/clouds.ts';

/** Where this installation connects to by its configuration; for whoever has to open a way for it. */
export interface ContactedHosts {
  /** Host names with a port where it is not the usual one; for what each serves. */
  readonly signIn: readonly string[];
  readonly calendars: readonly string[];
  readonly sources: readonly string[];
  readonly targets: readonly string[];
  readonly alarms: readonly string[];
  /** All but targets and mail servers are reached through it; null: directly. */
  readonly proxy: string | null;
}

/** Pure. */
export function contactedHosts(
  { tenants, sources, targets }: Model,
  clouds: readonly Cloud[],
  env: Pick<Env, 'httpsProxy' | 'alarmWebhookUrl' | 'smtpUrl' | 'heartbeatUrl'>,
): ContactedHosts {
  const used = tenants.flatMap(({ cloud }) => clouds.findLast(({ id }) => id === cloud) ?? []);
  const alarms = [env.alarmWebhookUrl, env.smtpUrl, env.heartbeatUrl].filter((url) => url !== null);
  return {
    signIn: hostsOf(used.map(({ login }) => login)),
    calendars: hostsOf(used.map(({ graph }) => graph)),
    sources: hostsOf(sources.flatMap((source) => ('url' in source ? [source.url] : []))),
    targets: hostsOf(targets.map(({ url }) => url)),
    alarms: hostsOf(alarms),
    proxy: env.httpsProxy === null ? null : (hostsOf([env.httpsProxy])[0] ?? null),
  };
}

/** In one line. Pure. */
export function sayHosts({ proxy, ...hosts }: ContactedHosts): string {
  const names = {
    signIn: 'sign-in',
    calendars: 'calendars',
    sources: 'other sources',
    alarms: 'alarms',
    targets: 'targets',
  } as const;
  const told = (Object.keys(names) as (keyof typeof names)[])
    .filter((kind) => hosts[kind].length > 0)
    .map((kind) => `${names[kind]} ${hosts[kind].join(', ')}`);
  const way = proxy === null ? [] : [`all but targets and mail by way of ${proxy}`];
  const further = hosts.sources.length === 0 ? [] : ['feeds and CalDAV servers may lead to further hosts of theirs'];
  return [...told, ...way, ...further].join('; ');
}

function hostsOf(urls: readonly string[]): string[] {
  const hosts = urls.flatMap((url) => (URL.canParse(url) ? [new URL(url).host] : []));
  return [...new Set(hosts)].toSorted();
}
