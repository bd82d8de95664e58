/** Sends requests for Microsoft's real hosts to the simulator's loopback ports, and lets nothing else out. */

/** Real origin → loopback origin, plain JSON so that another process can build the same fetch. */
export type OriginMap = Readonly<Record<string, string>>;

/**
 * A fetch that knows only the mapped origins and loopback itself; any other host fails as an unknown name does. It uses
 * `base` (default: the global fetch).
 */
export function mapOrigins(map: OriginMap, base: typeof fetch = fetch): typeof fetch {
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const target = map[url.origin] ?? (isLoopback(url) ? url.origin : undefined);
    if (target === undefined) {
      throw new TypeError('fetch failed', { cause: new Error(`getaddrinfo ENOTFOUND ${url.hostname}`) });
    }
    const mapped = `${target}${url.pathname}${url.search}`;
    return base(input instanceof Request ? new Request(mapped, input) : mapped, init);
  };
}

function isLoopback(url: URL): boolean {
  return ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
}
