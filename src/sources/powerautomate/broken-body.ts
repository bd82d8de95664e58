import type { FlowFault } from './read-flow-body.ts';

/** Above this, what was looked at tells enough. */
const MAX_KEYS = 60;
const MAX_SHAPE = 2_000;

/**
 * What is wrong with a text that is no JSON, by the habits of hand-made flows: `"recurrence": @{…}` without quotation
 * marks, nothing where an expression was empty, line breaks and quotation marks of a subject put in as they are. Pure;
 * tells no value.
 */
export function faultOfBrokenJson(text: string): FlowFault {
  const trimmed = text.trimStart();
  if (trimmed === '') return { field: 'body', problem: 'is empty' };
  if (trimmed.startsWith('<')) return { field: 'body', problem: 'is a web page or XML, not JSON' };
  const bare = /"([\w@.$-]{1,64})"\s*:\s*(?!true\b|false\b|null\b)[A-Za-z]/.exec(text);
  if (bare !== null)
    return {
      field: bare[1] ?? 'body',
      problem: "is not in quotation marks; put them around the expression, or pass the trigger's body as it is",
    };
  const empty = /"([\w@.$-]{1,64})"\s*:\s*[,}\]]/.exec(text);
  if (empty !== null) return { field: empty[1] ?? 'body', problem: 'has no value; its expression gave nothing' };
  return {
    field: lastKey(text) ?? 'body',
    problem:
      "is where the JSON breaks; a quotation mark or line break of a text was put in as it is. Pass the trigger's body as it is instead of composing one",
  };
}

/** Names and types of a body, for inspection: never a value. At most 2,000 characters. Pure. */
export function shapeOf(json: unknown): string {
  const text = JSON.stringify(shape(json, 0));
  return text.length <= MAX_SHAPE ? text : `${text.slice(0, MAX_SHAPE)}…`;
}

/** Of a text that is no JSON: the names that stand in it. */
export function shapeOfBroken(text: string): string {
  const keys = [...text.slice(0, 65_536).matchAll(/"([\w@.$-]{1,64})"\s*:/g)].map(([, key]) => key ?? '');
  return `broken JSON of ${text.length} characters with ${JSON.stringify([...new Set(keys)].slice(0, MAX_KEYS))}`;
}

function shape(value: unknown, depth: number): unknown {
  if (value === null) return 'null';
  if (typeof value !== 'object') return typeof value;
  if (depth > 5) return '…';
  // The items of a list are alike; the first few tell.
  if (Array.isArray(value)) return [...value.slice(0, 2).map((one) => shape(one, depth + 1)), `${value.length} items`];
  const members = Object.entries(value).slice(0, MAX_KEYS);
  return Object.fromEntries(members.map(([name, member]) => [safeName(name), shape(member, depth + 1)]));
}

/** A name may be a stranger's text as well. */
function safeName(name: string): string {
  return /^[\w@.$-]{1,64}$/.test(name) && !/@[\w-]+\./.test(name) ? name : '?';
}

function lastKey(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    const at = /position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1];
    const keys = [...text.slice(0, at === undefined ? undefined : Number(at)).matchAll(/"([\w@.$-]{1,64})"\s*:/g)];
    return keys.at(-1)?.[1] ?? null;
  }
}
