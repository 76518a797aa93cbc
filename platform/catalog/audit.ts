import type { Database } from './connection.js';
import type { Catalog } from './index.js';

/** Who did what, in the order it was told. */
export const audit = ({ query }: Database): Pick<Catalog, 'audit'> => ({
  async audit({ service, actor, action, details = {} }) {
    await query('insert into audit (service, actor, action, details) values ($1, $2, $3, $4)', [
      service,
      actor,
      action,
      JSON.stringify(details),
    ]);
  },
});
