/** The few parts of node-postgres (pg 8) that we use directly; the package brings no types of its own. */
declare module 'pg' {
  export interface QueryResult {
    readonly rows: readonly Readonly<Record<string, unknown>>[];
  }

  export class Client {
    constructor(options: { connectionString: string; application_name?: string; connectionTimeoutMillis?: number });
    connect(): Promise<unknown>;
    query(sql: string, values?: readonly unknown[]): Promise<QueryResult>;
    end(): Promise<void>;
    on(event: 'error', listener: (error: Error) => void): this;
    on(event: 'end', listener: () => void): this;
  }
}
