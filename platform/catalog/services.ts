import type { ServiceRecord } from '../../contract/service.js';
import type { Database } from './connection.js';

type Row = {
  service: string;
  live: string | null;
  previous: string | null;
  last_verified: string | null;
  token: number;
  workflow_id: string | null;
  run_id: string | null;
};

const selection = `
  select s.*, g.workflow_id, g.run_id
  from services s left join grants g on g.service = s.service and g.state <> 'closed'`;

/** Services as others read them; a grant that is being undone still holds its service. */
export const services = ({ query }: Database) => ({
  async getService(service: string): Promise<ServiceRecord | null> {
    const [row] = await query<Row>(`${selection} where s.service = $1`, [service]);
    return row ? recordOf(row) : null;
  },

  async listServices(): Promise<ServiceRecord[]> {
    return (await query<Row>(`${selection} order by s.service`)).map(recordOf);
  },
});

const recordOf = ({ workflow_id, run_id, last_verified, ...row }: Row): ServiceRecord => ({
  ...row,
  lastVerified: last_verified,
  holder: workflow_id !== null && run_id !== null ? { workflowId: workflow_id, runId: run_id } : null,
});
