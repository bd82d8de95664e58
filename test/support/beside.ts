/** The clouds' addresses are the simulator's; what is on loopback is met itself. */
export function beside(clouds: typeof fetch): typeof fetch {
  return (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    return url.startsWith('http://127.0.0.1:') ? fetch(input, init) : clouds(input, init);
  };
}
