import type { AuditEntry } from '../../contract/service.js';
import type { Database } from './connection.js';
import { fence } from './grants.js';
import type { Catalog } from './index.js';

type Row = Omit<AuditEntry, 'at'> & { at: Date };

/** Who did what, in the order it was told. */
export const audit = ({
  query,
  transaction,
}: Database): Pick<Catalog, 'audit' | 'auditOnce' | 'auditOf'> => ({
  async audit({ service, actor, action, details = {} }) {
    await query('insert into audit (service, actor, action, details) values ($1, $2, $3, $4)', [
      service,
      actor,
      action,
      JSON.stringify(details),
    ]);
  },

  auditOnce: (grant, { action, details }) =>
    transaction(async (query) => {
      // It locks the service: two attempts at once are one after the other here.
      await fence(query, grant);
      await query(
        `insert into audit (service, actor, action, details)
         select $1, $2, $3, $4::text::json where not exists (
           select from audit where service = $1 and actor = $2 and action = $3 and details::text = $4::text
         )`,
        [grant.service, grant.deployment.workflowId, action, JSON.stringify(details)],
      );
    }),

  async auditOf(service, limit) {
    const rows = await query<Row>(
      'select at, actor, action, details from audit where service = $1 order by id desc limit $2',
      [service, limit],
    );
    return rows.map((row) => ({ ...row, at: row.at.toISOString() }));
  },
});
