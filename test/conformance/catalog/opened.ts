import { after, before, beforeEach } from 'node:test';
import type { Catalog } from '../../../platform/catalog/index.js';

/** An empty catalog that nobody else uses. */
export type Opened = {
  catalog: Catalog;
  /** The same one as another process opens it; closed by the caller. */
  another: () => Promise<Catalog>;
  /** After the catalogs; nothing is left. */
  remove(): Promise<void>;
};
export type Open = () => Promise<Opened>;

/**
 * Called in a `describe`: its tests share a catalog of their own, and each of them has a service that no other one uses.
 * Handed over before each test.
 */
export function withCatalog(
  open: Open,
  hand: (catalog: Catalog, service: string, another: Opened['another']) => void,
): void {
  let opened: Opened;
  let services = 0;
  before(async () => {
    opened = await open();
  });
  after(async () => {
    await opened?.catalog.close();
    await opened?.remove();
  });
  beforeEach(() => hand(opened.catalog, `iris-${(services += 1)}`, opened.another));
}
