import { SlipwayError } from '../../contract/errors.js';
import type { JournalEntry } from '../../contract/journal.js';
import type { Grant, Release, Replica, Route } from '../../contract/pipeline.js';
import type { Database, Query } from './connection.js';
import { fence, lockService } from './grants.js';
import { findEntry } from './journal.js';
import { findRoute, moveRoute } from './routes.js';

/** The shift of a service to a new release, and its undo: each one transaction. */
export const shifts = ({ transaction }: Database) => ({
  shift: (grant: Grant, release: Release, replicas: Replica[]): Promise<Route> =>
    transaction(async (query) => {
      await fence(query, grant);
      const { service } = grant;
      const inserted = await insertRelease(query, release);
      const current = await findRoute(query, service);
      if (!inserted && current?.release === release.id) return current;
      await completeRouteEffect(query, grant, release);
      const route = await moveRoute(query, service, { release: release.id, replicas });
      await query('update services set live = $2, previous = live, last_verified = $2 where service = $1', [
        service,
        release.id,
      ]);
      return route!;
    }),

  unshift: ({ id, service, effect }: JournalEntry): Promise<Route | null> =>
    transaction(async (query) => {
      if (effect.kind !== 'route') throw new TypeError(`not a route: "${effect.key}"`);
      await lockService(query, service);
      const entry = await findEntry(query, id);
      const current = await findRoute(query, service);
      if (entry?.state !== 'intended' && entry?.state !== 'done') return current;
      await query(`update effects set state = 'undone' where id = $1`, [id]);
      if (!(await takeBack(query, service, effect.release))) return current;
      // A later release may have the route by now: then there is nothing to put back.
      if (current?.release !== effect.release) return current;
      return await moveRoute(query, service, effect.previous);
    }),
});

/** False when it is there already. */
async function insertRelease(query: Query, release: Release): Promise<boolean> {
  const { id, service, token, image, sourceImage } = release;
  const rows = await query(
    `insert into releases
       (id, service, token, image_digest, source_image_digest, release, live_before, previous_before)
     select $1, service, $3, $4, $5, $6, live, previous from services where service = $2
     on conflict (id) do nothing returning id`,
    [id, service, token, image.digest, sourceImage.digest, JSON.stringify(release)],
  );
  return rows.length > 0;
}

/** Without an entry in the journal the shift could not be undone. */
async function completeRouteEffect(query: Query, grant: Grant, release: Release): Promise<void> {
  const rows = await query(
    `update effects set state = 'done'
     where service = $1 and token = $2 and state in ('intended', 'done')
       and effect ->> 'kind' = 'route' and effect ->> 'release' = $3
     returning id`,
    [grant.service, grant.token, release.id],
  );
  if (rows.length === 0)
    throw new SlipwayError('Conflict', `shifting to "${release.id}": the journal has no entry for it`);
}

/** Takes the release out of the service's record. False when it never came into it. */
async function takeBack(query: Query, service: string, release: string): Promise<boolean> {
  const [row] = await query<{ live_before: string | null; previous_before: string | null }>(
    `update releases set taken_back_at = now() where id = $1 and taken_back_at is null
     returning live_before, previous_before`,
    [release],
  );
  if (!row) return false;
  await query(
    `update services set
       live = case when live = $2 then $3 else live end,
       previous = case when live = $2 then $4 when previous = $2 then $3 else previous end,
       last_verified = (
         select id from releases where service = $1 and taken_back_at is null order by token desc limit 1
       )
     where service = $1`,
    [service, release, row.live_before, row.previous_before],
  );
  return true;
}
