import { z } from 'zod';

/** Name of an installation that shares its servers with others. */
export const InstallationName = z
  .string()
  .max(31)
  .regex(
    /^[a-z0-9]+(?:-[a-z0-9]+)*$/,
    'must be at most 31 characters of a-z, 0-9 and single "-" between them, as in "team-a"',
  );

/** What an installation calls its own on the servers that it uses. */
export type Installation = {
  /** In the labels of containers and cluster objects, and in the names of containers and networks. */
  name: string;
  temporal: { namespace: string; taskQueue: string };
  /** Database of the catalog. */
  database: string;
  bucket: string;
  /** First part of its repositories in the registry. */
  registryPrefix: string;
};

/** Everything that tells an installation from others on the same servers, from its name. */
export function installationNamed(name: string): Installation {
  const own = `slipway-${InstallationName.parse(name)}`;
  return {
    name,
    temporal: { namespace: own, taskQueue: own },
    // Without what would have to be quoted; no name has a `_`, so that no two become one.
    database: own.replaceAll('-', '_'),
    bucket: own,
    registryPrefix: own,
  };
}
