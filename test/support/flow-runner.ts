/** Runs a flow's definition: as much of the workflow language as ours use. */

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export interface FlowAction {
  readonly type: string;
  readonly runAfter: Readonly<Record<string, readonly string[]>>;
  readonly inputs?: Json;
  readonly actions?: Readonly<Record<string, FlowAction>>;
  readonly foreach?: string;
  readonly expression?: { readonly greaterOrEquals: readonly [string, number] };
  readonly runtimeConfiguration?: unknown;
  readonly operationOptions?: string;
}
export interface FlowDefinition {
  readonly parameters: Readonly<Record<string, { readonly defaultValue: Json }>>;
  readonly triggers: Readonly<
    Record<string, { readonly type: string; readonly inputs?: Json; readonly splitOn?: string }>
  >;
  readonly actions: Readonly<Record<string, FlowAction>>;
}

export interface FlowRun {
  readonly parameters: Readonly<Record<string, string>>;
  readonly run: string;
  readonly triggerBody?: unknown;
  /** Answers of connector actions, by operation id. */
  readonly connector?: Readonly<Record<string, unknown>>;
  readonly post: (request: { uri: string; headers: Record<string, string>; body: unknown }) => Promise<void>;
}

export async function runFlow(definition: FlowDefinition, run: FlowRun): Promise<void> {
  const outputs = new Map<string, unknown>();
  const items = new Map<string, unknown>();
  const evaluate = (value: unknown): unknown => evaluateAll(value, (text) => expression(text, call));
  const call = (name: string, args: unknown[]): unknown => {
    const [first, second, third] = args;
    switch (name) {
      case 'parameters':
        return run.parameters[String(first)] ?? definition.parameters[String(first)]?.defaultValue;
      case 'triggerBody':
        return run.triggerBody;
      case 'outputs':
      case 'body':
        if (!outputs.has(String(first))) throw new Error(`${String(first)} has not run`);
        return outputs.get(String(first));
      case 'items':
        return items.get(String(first));
      case 'workflow':
        return { run: { name: run.run } };
      case 'utcNow':
        return new Date().toISOString();
      case 'addDays': {
        const day = new Date(Date.parse(String(first)) + Number(second) * 86_400_000).toISOString();
        return third === 'yyyy-MM-ddT00:00:00Z' ? `${day.slice(0, 10)}T00:00:00Z` : day;
      }
      case 'length':
        return (first as unknown[]).length;
      case 'add':
        return Number(first) + Number(second);
      case 'range':
        return Array.from({ length: Number(second) }, (_, index) => Number(first) + index);
      case 'chunk': {
        const list = first as unknown[];
        const count = Math.ceil(list.length / Number(second));
        return Array.from({ length: count }, (_, index) =>
          list.slice(index * Number(second), (index + 1) * Number(second)),
        );
      }
      default:
        throw new Error(`The workflow language has no function ${name} that we know`);
    }
  };

  const runAll = async (actions: Readonly<Record<string, FlowAction>>): Promise<void> => {
    const left = new Map(Object.entries(actions));
    const done = new Set<string>();
    while (left.size > 0) {
      const next = [...left].find(([, action]) => Object.keys(action.runAfter).every((name) => done.has(name)));
      if (next === undefined) throw new Error(`Never run: ${[...left.keys()].join(', ')}`);
      const [name, action] = next;
      left.delete(name);
      await runOne(name, action);
      done.add(name);
    }
  };
  const runOne = async (name: string, action: FlowAction): Promise<void> => {
    switch (action.type) {
      case 'Compose':
        outputs.set(name, evaluate(action.inputs));
        return;
      case 'OpenApiConnection': {
        const { host } = evaluate(action.inputs) as { host: { operationId: string } };
        outputs.set(name, run.connector?.[host.operationId]);
        return;
      }
      case 'If': {
        const [given, limit] = action.expression?.greaterOrEquals ?? ['', 0];
        if (Number(evaluate(given)) >= limit) await runAll(action.actions ?? {});
        return;
      }
      case 'Terminate':
        throw new Error('terminated');
      case 'Foreach':
        for (const item of evaluate(action.foreach) as unknown[]) {
          items.set(name, item);
          await runAll(action.actions ?? {});
        }
        return;
      case 'Http':
        await run.post(evaluate(action.inputs) as Parameters<FlowRun['post']>[0]);
        return;
      default:
        throw new Error(`No action of type ${action.type} that we know`);
    }
  };
  await runAll(definition.actions);
}

function evaluateAll(value: unknown, one: (text: string) => unknown): unknown {
  if (typeof value === 'string') {
    if (value.startsWith('@') && !value.startsWith('@{')) return one(value.slice(1));
    return value.replace(/@\{([^}]*)\}/g, (_, inner: string) => String(one(inner)));
  }
  if (Array.isArray(value)) return value.map((each) => evaluateAll(each, one));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, evaluateAll(each, one)]));
}

/** `name(arguments)`, texts, numbers, and members by `?['name']` or `[expression]`. */
function expression(text: string, call: (name: string, args: unknown[]) => unknown): unknown {
  let at = 0;
  const skip = (): void => {
    while (text[at] === ' ') at += 1;
  };
  const parse = (): unknown => {
    skip();
    const rest = text.slice(at);
    const literal = /^'((?:[^']|'')*)'/.exec(rest);
    const number = /^-?\d+/.exec(rest);
    const name = /^[A-Za-z]\w*(?=\()/.exec(rest);
    let value: unknown;
    if (literal !== null) {
      at += literal[0].length;
      value = (literal[1] ?? '').replaceAll("''", "'");
    } else if (number !== null) {
      at += number[0].length;
      value = Number(number[0]);
    } else if (name !== null) {
      at += name[0].length + 1;
      const args: unknown[] = [];
      for (skip(); text[at] !== ')'; skip()) {
        args.push(parse());
        skip();
        if (text[at] === ',') at += 1;
        else if (text[at] !== ')') throw new Error(`Unreadable at ${at}: ${text}`);
      }
      at += 1;
      value = call(name[0], args);
    } else throw new Error(`Unreadable at ${at}: ${text}`);
    for (;;) {
      if (text.startsWith('?[', at)) at += 2;
      else if (text[at] === '[') at += 1;
      else return value;
      const member = parse();
      if (text[at] !== ']') throw new Error(`Unreadable at ${at}: ${text}`);
      at += 1;
      value = (value as Record<string, unknown> | null | undefined)?.[String(member)];
    }
  };
  const value = parse();
  skip();
  if (at !== text.length) throw new Error(`Unreadable at ${at}: ${text}`);
  return value;
}
