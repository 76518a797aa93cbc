import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { messageOf } from '../../contract/errors.js';
import { ImageRef } from '../../contract/names.js';
import { readIfPresent, writeAtomically } from './files.js';
import type { Home } from './home.js';
import { portNames } from './ports.js';

/**
 * What a stack must remember to come up the same again: ports, credentials, which engine.
 * Kept apart from `stack.json`, which is what users read and exists only once everything runs.
 */
const Settings = z.object({
  ports: z.partialRecord(z.enum(portNames), z.number().int()),
  secrets: z.object({
    token: z.string(),
    s3: z.object({ accessKey: z.string(), secretKey: z.string() }),
    registry: z.object({ username: z.string(), password: z.string(), http: z.string() }),
    postgres: z.string(),
  }),
  /** The engine chosen at the first `up`: containers live there, so it does not change by itself. */
  engine: z.object({ kind: z.enum(['shared', 'private']), docker: z.string() }).nullable(),
  /** Third number of the private engine's network, 10.213.N.0/24. */
  subnet: z.number().int().nullable(),
  base: ImageRef.nullable(),
  /** The cluster that the last `up --kubernetes` chose; null: none; undefined: nothing was ever chosen. */
  cluster: z
    .discriminatedUnion('kind', [
      z.object({
        kind: z.literal('own'),
        /** Third number of its node's network, 10.89.N.0/30; null until it is first started. */
        subnet: z.number().int().nullable(),
        token: z.string(),
      }),
      z.object({ kind: z.literal('given'), kubeconfig: z.string(), registry: z.string() }),
    ])
    .nullable()
    .optional(),
});
export type Settings = z.infer<typeof Settings>;

/** Settings kept in the home, or null before the first `up`. */
export async function readSettings(home: Home): Promise<Settings | null> {
  const text = await readIfPresent(home.settingsFile);
  if (text === null) return null;
  try {
    return Settings.parse(JSON.parse(text));
  } catch (cause) {
    throw new Error(`reading "${home.settingsFile}": ${messageOf(cause)}`, { cause });
  }
}

/** Kept settings, or new ones with random credentials. */
export async function loadSettings(home: Home): Promise<Settings> {
  return (await readSettings(home)) ?? newSettings();
}

export async function saveSettings(home: Home, settings: Settings): Promise<void> {
  await writeAtomically(home.settingsFile, JSON.stringify(settings, null, 2));
}

function newSettings(): Settings {
  const secret = (bytes = 24): string => randomBytes(bytes).toString('hex');
  return {
    ports: {},
    secrets: {
      token: secret(),
      s3: { accessKey: secret(8), secretKey: secret(20) },
      registry: { username: 'slipway', password: secret(), http: secret() },
      postgres: secret(),
    },
    engine: null,
    subnet: null,
    base: null,
  };
}
