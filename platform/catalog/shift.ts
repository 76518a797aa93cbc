import { isDeepStrictEqual } from 'node:util';
import { SlipwayError } from '../../contract/errors.js';
import type { JournalEntry } from '../../contract/journal.js';
import type { Grant, Release, Replica, Route } from '../../contract/pipeline.js';
import type { Database, Query } from './connection.js';
import { fence, lockService } from './grants.js';
import { findEntry } from './journal.js';
import { findRoute, moveRoute } from './routes.js';

/** The shift of a service to a new release, and its undo: each one transaction. */
export const shifts = ({ query, transaction }: Database) => ({
  shift: (grant: Grant, release: Release, replicas: Replica[], keep = 0): Promise<Route> =>
    transaction(async (query) => {
      await fence(query, grant);
      const { service } = grant;
      const inserted = await insertRelease(query, release);
      const current = await findRoute(query, service);
      if (!inserted && current?.release === release.id) return current;
      await completeJournaled(query, grant, release.id);
      await keepReplicas(query, service, current, keep);
      const route = await moveRoute(query, service, { release: release.id, replicas });
      await query('update services set live = $2, previous = live, last_verified = $2 where service = $1', [
        service,
        release.id,
      ]);
      return route!;
    }),

  weigh: (grant: Grant, canary: NonNullable<Route['canary']>): Promise<Route> =>
    transaction(async (query) => {
      await fence(query, grant);
      const { service } = grant;
      const current = await findRoute(query, service);
      if (!current)
        throw new SlipwayError('Conflict', `dividing the traffic of "${service}": it has no route yet`);
      if (isDeepStrictEqual(current.canary, canary)) return current;
      // An attempt that comes after the shift: the release has all of the traffic already.
      if (current.release === canary.release) return current;
      await assertJournaled(query, grant, canary.release);
      return (await moveRoute(query, service, { ...current, canary }))!;
    }),

  keptReplicas: async (service: string) => {
    const rows = await query<{ release: string; replicas: Replica[]; remaining: number }>(
      `select k.release, k.replicas,
         greatest(0, ceil(extract(epoch from k.until - clock_timestamp()) * 1000))::int8 as remaining
       from kept k join releases r on r.id = k.release
       where k.service = $1 and r.taken_back_at is null
         and not exists (select from routes t where t.service = k.service and t.release = k.release)
       order by k.until`,
      [service],
    );
    return rows.map((row) => ({ ...row, expired: row.remaining === 0 }));
  },

  unshift: ({ id, service, effect }: JournalEntry): Promise<Route | null> =>
    transaction(async (query) => {
      if (effect.kind !== 'route') throw new TypeError(`not a route: "${effect.key}"`);
      await lockService(query, service);
      const entry = await findEntry(query, id);
      const current = await findRoute(query, service);
      if (entry?.state !== 'intended' && entry?.state !== 'done') return current;
      await query(`update effects set state = 'undone' where id = $1`, [id]);
      await takeBack(query, service, effect.release);
      // A later release may have the route by now: then there is nothing to put back.
      const ours = current?.release === effect.release || current?.canary?.release === effect.release;
      if (!ours) return current;
      // The release that was on its way then belonged to a deployment that is gone.
      return await moveRoute(query, service, effect.previous && { ...effect.previous, canary: null });
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

/** Without an entry in the journal the route could not be put back. */
async function assertJournaled(query: Query, grant: Grant, release: string): Promise<number[]> {
  const rows = await query<{ id: number }>(
    `select id from effects
     where service = $1 and token = $2 and state in ('intended', 'done')
       and effect ->> 'kind' = 'route' and effect ->> 'release' = $3`,
    [grant.service, grant.token, release],
  );
  if (rows.length === 0)
    throw new SlipwayError('Conflict', `moving the route to "${release}": the journal has no entry for it`);
  return rows.map(({ id }) => id);
}

async function completeJournaled(query: Query, grant: Grant, release: string): Promise<void> {
  const ids = await assertJournaled(query, grant, release);
  await query(`update effects set state = 'done' where id = any ($1)`, [ids]);
}

/** What serves now stays for a while after the shift. Whatever was kept before is not needed any more. */
async function keepReplicas(
  query: Query,
  service: string,
  served: Route | null,
  keep: number,
): Promise<void> {
  await query('delete from kept where service = $1', [service]);
  if (!served || keep === 0) return;
  await query(
    `insert into kept (service, release, replicas, until)
     values ($1, $2, $3, clock_timestamp() + make_interval(secs => $4))`,
    [service, served.release, JSON.stringify(served.replicas), keep / 1000],
  );
}

/** Takes the release out of the service's record, if it ever came into it. */
async function takeBack(query: Query, service: string, release: string): Promise<void> {
  const [row] = await query<{ live_before: string | null; previous_before: string | null }>(
    `update releases set taken_back_at = now() where id = $1 and taken_back_at is null
     returning live_before, previous_before`,
    [release],
  );
  if (!row) return;
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
}
