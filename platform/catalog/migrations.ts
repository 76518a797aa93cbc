import { SlipwayError } from '../../contract/errors.js';
import { schema, type Database } from './connection.js';

/** Forward only and numbered by place: a step that was released is never changed, only followed. */
const steps: string[] = [
  `create table services (
     service text primary key,
     live text,
     previous text,
     last_verified text,
     token bigint not null default 0
   )`,
  `create table grants (
     service text not null references services,
     token bigint not null,
     workflow_id text not null,
     run_id text not null,
     state text not null default 'open' check (state in ('open', 'undoing', 'closed')),
     outcome text check (outcome in ('succeeded', 'failed', 'cancelled', 'lost')),
     opened_at timestamptz not null default now(),
     closed_at timestamptz,
     primary key (service, token),
     unique (service, workflow_id, run_id),
     check ((state = 'closed') = (outcome is not null))
   )`,
  `create unique index one_open_grant on grants (service) where state <> 'closed'`,
  // json, not jsonb: it keeps every number and string of a sample as it was given, \\u0000 too.
  `create table effects (
     id bigint generated always as identity primary key,
     service text not null,
     token bigint not null,
     key text not null,
     deployment text not null,
     digest text,
     effect json not null,
     state text not null default 'intended' check (state in ('intended', 'done', 'undone', 'kept')),
     recorded_at timestamptz not null default now(),
     unique (service, token, key),
     foreign key (service, token) references grants
   )`,
  `create index open_effects on effects (digest) where state in ('intended', 'done')`,
  `create table releases (
     id text primary key,
     service text not null references services,
     token bigint not null,
     image_digest text not null,
     source_image_digest text not null,
     release json not null,
     live_before text,
     previous_before text,
     shifted_at timestamptz not null default now(),
     taken_back_at timestamptz
   )`,
  `create index releases_by_service on releases (service, token desc)`,
  `create index releases_by_image on releases (image_digest)`,
  `create index releases_by_source_image on releases (source_image_digest)`,
  `create table routes (
     service text primary key references services,
     release text not null references releases,
     replicas json not null,
     version bigint not null unique
   )`,
  // One row: who changes a route locks it until its transaction ends, so versions commit in their order.
  `create table route_clock (single boolean primary key default true check (single), version bigint not null)`,
  `insert into route_clock (version) values (0)`,
  `create table gateways (
     id text primary key,
     version bigint not null,
     heard_at timestamptz not null
   )`,
  `create table audit (
     id bigint generated always as identity primary key,
     at timestamptz not null default now(),
     service text,
     actor text not null,
     action text not null,
     details json not null
   )`,
  `create index audit_by_service on audit (service, id desc)`,
  `alter table routes add column canary json`,
  // Replicas that served before, until when they stay.
  `create table kept (
     service text not null references services,
     release text not null references releases,
     replicas json not null,
     until timestamptz not null,
     primary key (service, release)
   )`,
  // What each run of a gateway has counted since it began; latency holds a count for each bucket.
  `create table traffic (
     service text not null,
     release text not null,
     gateway text not null,
     requests bigint not null,
     failures bigint not null,
     latency bigint[] not null,
     reported_at timestamptz not null default now(),
     primary key (service, release, gateway)
   )`,
];

/** Any number that nothing else locks in the same database. */
const migrationLock = 7_265_311;

/**
 * Brings the schema up to date; several processes may do so at once. Throws `Conflict` when a newer Slipway
 * has brought it further than this one knows.
 */
export async function migrate(database: Database): Promise<void> {
  await database.transaction(async (query) => {
    await query('select pg_advisory_xact_lock($1)', [migrationLock]);
    await query(`create schema if not exists ${schema}`);
    await query(
      'create table if not exists migrations (step int primary key, at timestamptz not null default now())',
    );
    const [last] = await query<{ step: number }>('select coalesce(max(step), 0) as step from migrations');
    const known = last?.step ?? 0;
    if (known > steps.length)
      throw new SlipwayError(
        'Conflict',
        `opening the catalog: its schema has ${known} steps, this version of Slipway knows ${steps.length}`,
      );
    for (const [index, step] of steps.entries()) {
      if (index < known) continue;
      await query(step);
      await query('insert into migrations (step) values ($1)', [index + 1]);
    }
  });
}
