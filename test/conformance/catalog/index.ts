import { describe } from 'node:test';
import { onItsWay } from './canary.js';
import { whoMayChange } from './grants.js';
import { gateways } from './gateways.js';
import { journal } from './journal.js';
import { kept } from './kept.js';
import type { Open } from './opened.js';
import { moving } from './shift.js';
import { counted } from './traffic.js';

/** What every `Catalog` promises; `open` makes an empty one. */
export const conformsToCatalog = (name: string, open: Open): unknown =>
  describe(name, () => {
    for (const part of [whoMayChange, journal, moving, onItsWay, kept, gateways, counted]) void part(open);
  });
