import { listPins, setPin } from '../store/pins.ts';
import { exitCodes, table, tell, withProduct, type Overrides } from './context.ts';

/** Says whose copy of a meeting shows; with null, that the rules decide again. */
export function pin(which: string, source: string | null, json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const change = await product.store.transaction((db) => setPin(db, which, source, 'cli'));
    product.hints.send('deliver', change.target);
    const { uid, before } = change;
    tell(json, change, [
      source === null
        ? before === null
          ? `Nothing was pinned for ${uid}.`
          : `${uid} was pinned to ${before}; the rules decide again whose copy shows.`
        : `${uid} shows the copy of ${source} from now on, whatever else would decide.`,
    ]);
    return exitCodes.ok;
  });
}

export function showPins(json: boolean, overrides: Overrides): Promise<number> {
  return withProduct(overrides, async ({ product }) => {
    const pins = await listPins(product.store.db);
    const rows = pins.map((one) => [one.target, one.source, one.shownBy ?? '', one.title ?? '', one.uid]);
    tell(
      json,
      pins,
      pins.length === 0 ? ['Nothing is pinned.'] : table(['target', 'pinned to', 'shown by', 'title', 'uid'], rows),
    );
    return exitCodes.ok;
  });
}
