import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import { Agent, EnvHttpProxyAgent, fetch as undiciFetch } from 'undici';

export interface OutgoingOptions {
  /** Proxy for all outgoing requests, or null. */
  readonly httpsProxy: string | null;
  /** PEM file with certification authorities to trust besides the public ones, or null. */
  readonly extraCaFile: string | null;
}

/** The fetch by which sources are reached: keep-alive, the operator's proxy and certification authority. */
export function outgoingFetch(options: OutgoingOptions): { fetch: typeof fetch; close: () => Promise<void> } {
  const ca = trustedAuthorities(options.extraCaFile);
  const connect = ca === null ? {} : { ca };
  const agent =
    options.httpsProxy === null
      ? new Agent({ connect, keepAliveTimeout: 30_000 })
      : new EnvHttpProxyAgent({
          httpProxy: options.httpsProxy,
          httpsProxy: options.httpsProxy,
          connect,
          requestTls: connect,
        });
  // undici's own fetch goes with its own agents; its types and the global ones name the same things twice.
  const send = ((input: Parameters<typeof undiciFetch>[0], init?: Parameters<typeof undiciFetch>[1]) =>
    undiciFetch(input, { ...init, dispatcher: agent })) as unknown as typeof fetch;
  return { fetch: send, close: () => agent.close() };
}

/** The public authorities and those of the file; null: Node's own choice. */
export function trustedAuthorities(extraCaFile: string | null): string[] | null {
  return extraCaFile === null ? null : [...rootCertificates, readFileSync(extraCaFile, 'utf8')];
}
