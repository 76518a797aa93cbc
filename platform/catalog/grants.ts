import { SlipwayError } from '../../contract/errors.js';
import type { DeploymentRef, Grant } from '../../contract/pipeline.js';
import type { GrantOutcome } from '../../contract/service.js';
import type { Database, Query } from './connection.js';

export type GrantRow = {
  token: number;
  workflow_id: string;
  run_id: string;
  state: 'open' | 'undoing' | 'closed';
  outcome: GrantOutcome | null;
};

/**
 * Locks the service until the transaction ends: whatever is checked of it still holds when its change is written.
 * Every transaction takes this lock first and the route clock last.
 */
export async function lockService(query: Query, service: string): Promise<{ token: number } | null> {
  const [row] = await query<{ token: number }>('select token from services where service = $1 for update', [
    service,
  ]);
  return row ?? null;
}

/** The grant with this token, its service locked. */
export async function lockGrant(query: Query, service: string, token: number): Promise<GrantRow | null> {
  await lockService(query, service);
  const [row] = await query<GrantRow>('select * from grants where service = $1 and token = $2', [
    service,
    token,
  ]);
  return row ?? null;
}

/** Locks the service. Throws `Conflict` unless the grant is the open one, held by this run and not being undone. */
export async function fence(query: Query, grant: Grant): Promise<void> {
  const row = await lockGrant(query, grant.service, grant.token);
  if (row?.state === 'open' && holds(row, grant.deployment)) return;
  throw fenced(grant, row?.state === 'undoing' ? 'is being undone' : 'has ended');
}

const fenced = ({ service, token, deployment }: Grant, why: string): SlipwayError =>
  new SlipwayError(
    'Conflict',
    `fenced: grant ${token} of service "${service}" for deployment "${deployment.workflowId}" ${why}`,
    { service, token },
  );

const holds = (row: GrantRow, { workflowId, runId }: DeploymentRef): boolean =>
  row.workflow_id === workflowId && row.run_id === runId;

/** Who may change a service, one at a time. */
export const grants = ({ transaction }: Database) => ({
  openGrant: (service: string, holder: DeploymentRef, floor: number): Promise<number> =>
    transaction(async (query) => {
      await query('insert into services (service) values ($1) on conflict do nothing', [service]);
      const highest = (await lockService(query, service))!.token;
      const { workflowId, runId } = holder;
      const [known] = await query<{ token: number }>(
        'select token from grants where service = $1 and workflow_id = $2 and run_id = $3',
        [service, workflowId, runId],
      );
      // Open: asked again. Closed: this request was overtaken, and must not take the service from its new holder.
      if (known) return known.token;
      await query(
        `update grants set state = 'closed', outcome = 'lost', closed_at = now()
         where service = $1 and state <> 'closed'`,
        [service],
      );
      const token = Math.max(highest, floor) + 1;
      await query('update services set token = $2 where service = $1', [service, token]);
      await query('insert into grants (service, token, workflow_id, run_id) values ($1, $2, $3, $4)', [
        service,
        token,
        workflowId,
        runId,
      ]);
      return token;
    }),

  beginUndo: (grant: Grant): Promise<void> =>
    transaction(async (query) => {
      const row = await lockGrant(query, grant.service, grant.token);
      if (row?.state !== 'open' || !holds(row, grant.deployment)) return;
      await setState(query, grant, 'undoing', null);
    }),

  closeGrant: (grant: Grant, outcome: GrantOutcome): Promise<void> =>
    transaction(async (query) => {
      const row = await lockGrant(query, grant.service, grant.token);
      if (!row || !holds(row, grant.deployment)) return;
      if (outcome === 'succeeded' && row.outcome !== 'succeeded') {
        // What is being taken back, or was, cannot be called a success.
        if (row.state !== 'open')
          throw fenced(grant, row.state === 'undoing' ? 'is being undone' : `has ended: ${row.outcome}`);
        await query(
          `update effects set state = 'kept' where service = $1 and token = $2 and state = 'done'`,
          [grant.service, grant.token],
        );
      }
      if (row.state !== 'closed') await setState(query, grant, 'closed', outcome);
    }),
});

async function setState(
  query: Query,
  { service, token }: Grant,
  state: GrantRow['state'],
  outcome: GrantOutcome | null,
): Promise<void> {
  await query(
    `update grants set state = $3, outcome = $4, closed_at = case when $3 = 'closed' then now() end
     where service = $1 and token = $2`,
    [service, token, state, outcome],
  );
}
