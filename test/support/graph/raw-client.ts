/** The least client that can read the simulator: no library, no retry, so that tests see each answer as it is. */
import type { GraphSimulator } from './simulator.ts';
import type { TenantState } from './state.ts';

export interface RawEvent {
  readonly id: string;
  readonly type?: string;
  readonly subject?: string | null;
  readonly seriesMasterId?: string | null;
  readonly '@removed'?: { readonly reason: string };
  readonly [name: string]: unknown;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed JSON; its parts that tests look at are named. */
  readonly json: RawEvent & {
    readonly value: readonly RawEvent[];
    readonly '@odata.nextLink'?: string;
    readonly '@odata.deltaLink'?: string;
    readonly error?: { readonly code: string; readonly message: string };
  };
}

export class RawClient {
  private readonly simulator: GraphSimulator;
  private readonly tenant: TenantState;
  private readonly graph: string;
  private token: string | null = null;
  /** Sent with each request unless it brings its own. */
  prefer = 'IdType="ImmutableId"';

  constructor(simulator: GraphSimulator, tenant: TenantState, graph = 'https://graph.microsoft.com') {
    this.simulator = simulator;
    this.tenant = tenant;
    this.graph = graph;
  }

  /** Asks for a token as given, whatever the answer. */
  async askToken(
    changes: Record<string, string> = {},
    login = 'https://login.microsoftonline.com',
    tenant = this.tenant.directory,
  ) {
    const form = {
      grant_type: 'client_credentials',
      client_id: this.tenant.client,
      client_secret: this.tenant.secret ?? '',
      scope: `${this.graph}/.default`,
      ...changes,
    };
    const response = await this.simulator.fetch(`${login}/${tenant}/oauth2/v2.0/token`, {
      method: 'POST',
      body: new URLSearchParams(form),
    });
    const json = (await response.json()) as {
      access_token?: string;
      expires_in?: number;
      error_codes?: number[];
      error?: string;
    };
    return { status: response.status, ...json };
  }

  /** Takes a token from another login host than the global one. */
  async signIn(login: string): Promise<void> {
    this.token = (await this.askToken({}, login)).access_token ?? '';
  }

  async send(
    method: string,
    path: string,
    options: { body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<RawAnswer> {
    this.token ??= (await this.askToken()).access_token ?? '';
    const url = path.startsWith('https:') ? path : `${this.graph}/v1.0${path}`;
    const headers = {
      authorization: `Bearer ${this.token}`,
      prefer: this.prefer,
      'content-type': 'application/json',
      ...options.headers,
    };
    const body = options.body === undefined ? {} : { body: JSON.stringify(options.body) };
    const response = await this.simulator.fetch(url, { method, headers, ...body });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      json: (text === '' ? {} : JSON.parse(text)) as RawAnswer['json'],
    };
  }

  get(path: string, prefer = this.prefer): Promise<RawAnswer> {
    return this.send('GET', path, { headers: { prefer } });
  }

  /** Follows a round, or any paged list, to its end. */
  async round(start: string, prefer = this.prefer) {
    const pages: RawAnswer['json'][] = [];
    let link: string | undefined = start;
    while (link !== undefined) {
      const answer: RawAnswer = await this.get(link, prefer);
      if (answer.status !== 200) throw new Error(`${answer.status} ${answer.json.error?.code ?? ''}`);
      pages.push(answer.json);
      link = answer.json['@odata.nextLink'];
    }
    return { pages, items: pages.flatMap(({ value }) => value), deltaLink: pages.at(-1)?.['@odata.deltaLink'] ?? '' };
  }
}
