import { Route } from '../../contract/pipeline.js';
import type { Database, Query } from './connection.js';

/** Channel on which gateways hear that a route has changed. */
export const routesChannel = 'slipway_routes';

/** Routes as others read them. */
export const routes = ({ query }: Database) => ({
  // One statement sees one state of the database: these routes are exactly those of this version.
  async routes(): Promise<{ version: number; routes: Route[] }> {
    const [row] = await query<{ version: number; routes: unknown[] }>(
      `select c.version, coalesce(
         (select json_agg(r order by r.service) from routes r), '[]'
       ) as routes from route_clock c`,
    );
    return { version: row!.version, routes: row!.routes.map((route) => Route.parse(route)) };
  },

  getRoute: (service: string): Promise<Route | null> => findRoute(query, service),
});

export async function findRoute(query: Query, service: string): Promise<Route | null> {
  const [row] = await query('select * from routes where service = $1', [service]);
  return row ? Route.parse(row) : null;
}

/** Moves a service's route, or removes it (`to` null), under the next version, and wakes the gateways. */
export async function moveRoute(
  query: Query,
  service: string,
  to: (Pick<Route, 'release' | 'replicas'> & { canary?: Route['canary'] }) | null,
): Promise<Route | null> {
  const [clock] = await query<{ version: number }>(
    'update route_clock set version = version + 1 returning version',
  );
  const { version } = clock!;
  if (to)
    await query(
      `insert into routes (service, release, replicas, canary, version) values ($1, $2, $3, $4, $5)
       on conflict (service) do update set
         release = excluded.release, replicas = excluded.replicas, canary = excluded.canary,
         version = excluded.version`,
      [service, to.release, JSON.stringify(to.replicas), to.canary && JSON.stringify(to.canary), version],
    );
  else await query('delete from routes where service = $1', [service]);
  // Delivered when the transaction commits, and not at all when it does not.
  await query('select pg_notify($1, $2)', [routesChannel, String(version)]);
  return to ? Route.parse({ service, ...to, version }) : null;
}
