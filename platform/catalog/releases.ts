import { Release } from '../../contract/pipeline.js';
import type { Database } from './connection.js';

/** Releases: immutable records; one that was taken back is kept, and no longer told of. */
export const releases = ({ query }: Database) => {
  const select = async (where: string, value: string): Promise<Release[]> => {
    const rows = await query<{ release: unknown }>(
      `select release from releases where ${where} and taken_back_at is null order by token desc, id`,
      [value],
    );
    return rows.map(({ release }) => Release.parse(release));
  };
  return {
    getRelease: async (id: string): Promise<Release | null> => (await select('id = $1', id))[0] ?? null,
    listReleases: (service: string): Promise<Release[]> => select('service = $1', service),
  };
};
