import { SlipwayError } from '../../contract/errors.js';
import { describeEffect, JournalEntry, type Effect } from '../../contract/journal.js';
import type { Grant } from '../../contract/pipeline.js';
import type { Database, Query } from './connection.js';
import { fence, lockGrant } from './grants.js';

type Row = Record<'id' | 'service' | 'token' | 'deployment' | 'effect' | 'state', unknown>;

/** Class of advisory locks; the second number is of a digest. */
const digestLocks = 7_001;
const columns = 'id, service, token, deployment, effect, state';
const isOpen = `state in ('intended', 'done')`;
const entryOf = (row: Row): JournalEntry => JournalEntry.parse(row);

/** The effect journal. */
export const journal = ({ query, transaction }: Database) => ({
  recordEffect: (grant: Grant, effect: Effect): Promise<JournalEntry> =>
    transaction(async (within) => {
      await fence(within, grant);
      const { service, token, deployment } = grant;
      const digest = 'digest' in effect ? effect.digest : null;
      if (digest !== null) await lockDigest(within, digest);
      // What was written first stands: it knows how the world was before the effect.
      await within(
        `insert into effects (service, token, key, deployment, digest, effect)
         values ($1, $2, $3, $4, $5, $6) on conflict (service, token, key) do nothing`,
        [service, token, effect.key, deployment.workflowId, digest, JSON.stringify(effect)],
      );
      const [row] = await within<Row>(
        `select ${columns} from effects where service = $1 and token = $2 and key = $3`,
        [service, token, effect.key],
      );
      const entry = entryOf(row!);
      if (entry.state === 'undone')
        throw new SlipwayError('Conflict', `fenced: ${describeEffect(effect)} has been undone`);
      return entry;
    }),

  completeEffect: ({ id, service, token }: JournalEntry): Promise<boolean> =>
    transaction(async (within) => {
      const grant = await lockGrant(within, service, token);
      const entry = await findEntry(within, id);
      // Kept: another attempt completed it, and it has become part of what serves.
      if (entry?.state === 'kept') return true;
      if (grant?.state !== 'open' || !entry || entry.state === 'undone') return false;
      await within(`update effects set state = 'done' where id = $1`, [id]);
      return true;
    }),

  async openEffects(service: string, token: number): Promise<JournalEntry[]> {
    const rows = await query<Row>(
      `select ${columns} from effects where service = $1 and token = $2 and ${isOpen} order by id desc`,
      [service, token],
    );
    return rows.map(entryOf);
  },

  async markUndone(id: number): Promise<void> {
    await query(`update effects set state = 'undone' where id = $1 and ${isOpen}`, [id]);
  },

  whileUnnamed: (
    digest: string,
    except: { service: string; token: number },
    act: () => Promise<void>,
  ): Promise<boolean> =>
    transaction(async (within) => {
      await lockDigest(within, digest);
      // One statement: what is an effect at one moment is a release at the next.
      const [row] = await within<{ named: boolean }>(
        `select exists (
           select from releases
           where (image_digest = $1 or source_image_digest = $1) and taken_back_at is null
         ) or exists (
           select from effects
           where digest = $1 and ${isOpen} and (service, token) is distinct from ($2, $3)
         ) as named`,
        [digest, except.service, except.token],
      );
      if (row!.named) return false;
      await act();
      return true;
    }),

  async allOpenEffects(): Promise<JournalEntry[]> {
    return (await query<Row>(`select ${columns} from effects where ${isOpen} order by id`)).map(entryOf);
  },
});

/** Until the transaction ends, nobody else comes to name the digest or stops what nobody names. */
const lockDigest = async (query: Query, digest: string): Promise<void> =>
  void (await query('select pg_advisory_xact_lock($1, hashtext($2))', [digestLocks, digest]));

/** The entry as the journal knows it now: the caller's copy may be old. */
export async function findEntry(query: Query, id: number): Promise<JournalEntry | null> {
  const [row] = await query<Row>(`select ${columns} from effects where id = $1`, [id]);
  return row ? entryOf(row) : null;
}
