/**
 * Another Graph: the simulator's answers as a service would give them that reads the same documents otherwise. Each
 * option is something that the documents allow, or that somebody reported, and that our simulator does not do by itself.
 */
import { seededRandom } from './switches.ts';

export interface Dialect {
  readonly seed: number;
  /** Masters never come in delta (keeper.sh#409). */
  readonly noMasters: boolean;
  /** Stubs do not name their series. */
  readonly anonymousStubs: boolean;
  /** Whose removals are told where a series and its occurrences are gone. */
  readonly removalsOf: 'all' | 'masters' | 'occurrences';
  /** Share of pages with a removal, reason `changed`, of something that is still there (`event-delta.md`). */
  readonly falseRemovals: number;
  /** Removals carry the whole event as it was last told. */
  readonly fatRemovals: boolean;
  /** Items in a page at most: series are split over pages. */
  readonly splitPages: number | null;
  /** Share of items of a page that come on the next page too. */
  readonly repeats: number;
  /** Links of another shape and host path: by GUID, `$skipToken`, other parameters. */
  readonly links: 'usual' | 'capital' | 'opaque';
  /** What has no value is not there at all. */
  readonly absentNulls: boolean;
  /** Versions are told by etags only, by changeKey only, or differ per occurrence. */
  readonly versions: 'both' | 'etag' | 'changeKey' | 'none' | 'per-occurrence';
  /** Names that $select and $expand do not know. */
  readonly unknownNames: readonly string[];
  /** Whether an unknown name is refused by 400 or passed over. */
  readonly unknownAre: 'refused' | 'ignored';
  /** Rows of a page of /instances, /calendars and calendarView, whatever is asked for. */
  readonly listPage: number | null;
  /** GET of a single calendar is not there: calendars are listed only. */
  readonly calendarsOnlyListed: boolean;
  /** `Prefer` is passed over in part. */
  readonly ignoresIdType: boolean;
  readonly zone: string | null;
}

export const plainDialect: Dialect = {
  seed: 1,
  noMasters: false,
  anonymousStubs: false,
  removalsOf: 'all',
  falseRemovals: 0,
  fatRemovals: false,
  splitPages: null,
  repeats: 0,
  links: 'usual',
  absentNulls: false,
  versions: 'both',
  unknownNames: [],
  unknownAre: 'refused',
  listPage: null,
  calendarsOnlyListed: false,
  ignoresIdType: false,
  zone: null,
};

type Json = Record<string, unknown>;

/** `base` spoken in a dialect. Only Graph's answers to reads are touched. */
export function inDialect(base: typeof fetch, dialect: Dialect): typeof fetch {
  const speaker = new Speaker(base, dialect);
  return (input, init) => speaker.fetch(input instanceof Request ? input.url : String(input), init ?? {});
}

class Speaker {
  private readonly base: typeof fetch;
  private readonly dialect: Dialect;
  private readonly random: () => number;
  /** Links that we gave, and what they stand for: a real link, or the rest of a page. */
  private readonly links = new Map<string, string | Json>();
  /** What was told last of an id, by calendar. */
  private readonly told = new Map<string, Map<string, Json>>();
  private readonly repeated = new Map<string, Json[]>();
  private count = 0;

  constructor(base: typeof fetch, dialect: Dialect) {
    this.base = base;
    this.dialect = dialect;
    this.random = seededRandom(dialect.seed);
  }

  async fetch(asked: string, init: RequestInit): Promise<Response> {
    const url = new URL(asked);
    if (!url.pathname.startsWith('/v1.0/users') || (init.method ?? 'GET').toUpperCase() !== 'GET')
      return this.base(asked, init);
    const stored = this.links.get(asked);
    if (typeof stored === 'object') return json(this.pageOf(asked, stored));
    const real = new URL(stored ?? asked);
    const refusal = this.refusal(real);
    if (refusal !== null) return refusal;
    const answer = await this.base(this.queryFor(real), { ...init, headers: this.headersFor(real, init) });
    if (!answer.ok) return answer;
    const text = await answer.text();
    try {
      const told = this.translated(real, JSON.parse(text) as Json);
      return json(told, answer.headers);
    } catch {
      return new Response(text, { status: answer.status, headers: answer.headers });
    }
  }

  private refusal({ pathname, searchParams }: URL): Response | null {
    const { calendarsOnlyListed, unknownAre, unknownNames } = this.dialect;
    if (calendarsOnlyListed && /\/calendar(?:s\/[^/]+)?$/.test(pathname))
      return json(fault('ErrorItemNotFound'), undefined, 404);
    if (unknownAre !== 'refused') return null;
    const names = `${searchParams.get('$select') ?? ''},${searchParams.get('$expand') ?? ''}`;
    return unknownNames.some((name) => names.includes(name)) ? json(fault('BadRequest'), undefined, 400) : null;
  }

  private queryFor(real: URL): string {
    if (this.dialect.unknownAre === 'refused' || this.dialect.unknownNames.length === 0) return real.href;
    const url = new URL(real);
    for (const name of ['$select', '$expand']) {
      const parts = splitTop(url.searchParams.get(name) ?? '');
      const known = parts.filter((part) => !this.dialect.unknownNames.some((unknown) => part.startsWith(unknown)));
      if (parts.length === 0) continue;
      if (known.length === 0) url.searchParams.delete(name);
      else url.searchParams.set(name, known.join(','));
    }
    return url.href;
  }

  private headersFor(real: URL, init: RequestInit): Headers {
    const headers = new Headers(init.headers);
    let prefer = headers.get('prefer') ?? '';
    const { listPage, ignoresIdType, zone } = this.dialect;
    if (ignoresIdType) prefer = prefer.replace('IdType="ImmutableId"', 'IdType="x"');
    if (zone !== null) prefer = prefer.replace('outlook.timezone="UTC"', `outlook.timezone="${zone}"`);
    if (listPage !== null && !real.pathname.endsWith('/delta'))
      prefer = prefer.replace(/odata\.maxpagesize=\d+/, `odata.maxpagesize=${listPage}`);
    headers.set('prefer', prefer);
    return headers;
  }

  private translated(real: URL, body: Json): Json {
    if (!real.pathname.endsWith('/delta')) return this.written(body);
    const calendar = real.pathname;
    // A reading from the start is told what is there, and nothing that a former one, cut off, was about to hear again.
    const isStart = real.searchParams.has('startDateTime');
    const known = (isStart ? null : this.told.get(calendar)) ?? new Map<string, Json>();
    this.told.set(calendar, known);
    const all = body['value'] as Json[];
    const gone = all.flatMap((item) => (item['@removed'] === undefined ? [] : [String(item['id'])]));
    const items = all.flatMap((item) => this.itemOf(item, known, gone));
    const again = (isStart ? null : this.repeated.get(calendar)) ?? [];
    const isLast = body['@odata.nextLink'] === undefined;
    // The older telling first: the last one is true.
    const value = [...again.filter(({ id }) => known.has(String(id))), ...items];
    this.repeated.set(calendar, isLast ? [] : items.filter(() => this.random() < this.dialect.repeats));
    if (this.random() < this.dialect.falseRemovals) {
      const here = new Set(value.map(({ id }) => id));
      const [other] = [...known.keys()].filter((id) => !here.has(id));
      if (other !== undefined) value.push({ id: other, '@removed': { reason: 'changed' } });
    }
    return this.pageOf(real.href, this.written({ ...body, value }));
  }

  private itemOf(item: Json, known: Map<string, Json>, gone: readonly string[]): Json[] {
    const { noMasters, anonymousStubs, removalsOf, fatRemovals } = this.dialect;
    const id = String(item['id']);
    if (item['@removed'] !== undefined) {
      const stem = (whole: string): string => `${whole.replace(/=+$/, '')}-o`;
      if (removalsOf === 'masters' && gone.some((master) => id.startsWith(stem(master)))) return [];
      if (removalsOf === 'occurrences' && gone.some((occurrence) => occurrence.startsWith(stem(id)))) return [];
      const before = known.get(id);
      known.delete(id);
      return [fatRemovals && before !== undefined ? { ...before, ...item } : item];
    }
    known.set(id, item);
    if (item['type'] === 'seriesMaster') return noMasters ? [] : [item];
    if (anonymousStubs && item['type'] === 'occurrence') return [without(item, 'seriesMasterId')];
    return [item];
  }

  private pageOf(link: string, body: Json): Json {
    const { splitPages } = this.dialect;
    const value = body['value'];
    if (!Array.isArray(value)) return body;
    if (splitPages === null || value.length <= splitPages) return this.linked(body);
    this.count += 1;
    const rest = `${new URL(link).origin}/v1.0/users/x/calendarView/delta?$skiptoken=rest-${this.count}`;
    this.links.set(rest, { ...body, value: value.slice(splitPages) });
    const head = without(without(body, '@odata.deltaLink'), '@odata.nextLink');
    return { ...head, value: value.slice(0, splitPages), '@odata.nextLink': rest };
  }

  private linked(body: Json): Json {
    if (this.dialect.links === 'usual') return body;
    const changed = { ...body };
    for (const name of ['@odata.nextLink', '@odata.deltaLink']) {
      const link = body[name];
      if (typeof link !== 'string' || this.links.has(link)) continue;
      this.count += 1;
      const { origin } = new URL(link);
      const ours =
        this.dialect.links === 'capital'
          ? link.replace('$skiptoken', '$skipToken').replace('$deltatoken', '$deltaToken')
          : `${origin}/v1.0/users('5b1c%2D')/calendars('AAMk%3D')/calendarView/delta()?$deltatoken=${this.count}_%2F+x&a=`;
      this.links.set(ours, link);
      changed[name] = ours;
    }
    return changed;
  }

  /** Fields as this service writes them, all the way down. */
  private written(body: Json): Json {
    const { absentNulls, versions } = this.dialect;
    const visit = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(visit);
      if (typeof value !== 'object' || value === null) return value;
      let object = value as Json;
      if (versions === 'etag' || versions === 'none') object = without(object, 'changeKey');
      if (versions === 'changeKey' || versions === 'none') object = without(object, '@odata.etag');
      if (versions === 'per-occurrence' && typeof object['seriesMasterId'] === 'string')
        object = {
          ...object,
          '@odata.etag': `W/"${String(object['id'])}${String(object['changeKey'] ?? object['@odata.etag'])}"`,
        };
      const entries = Object.entries(object).filter(([, each]) => !absentNulls || (each !== null && each !== ''));
      return Object.fromEntries(entries.map(([name, each]) => [name, visit(each)]));
    };
    return visit(body) as Json;
  }
}

function without(object: Json, name: string): Json {
  const { [name]: _, ...rest } = object;
  return rest;
}

function fault(code: string): Json {
  return { error: { code, message: 'Said by another service.', innerError: { 'request-id': 'r' } } };
}

function json(body: Json, headers?: Headers, status = 200): Response {
  const wanted = new Headers(headers);
  wanted.delete('content-length');
  wanted.set('content-type', 'application/json');
  return new Response(JSON.stringify(body), { status, headers: wanted });
}

function splitTop(list: string): string[] {
  return list === '' ? [] : list.split(/,(?![^(]*\))/);
}
