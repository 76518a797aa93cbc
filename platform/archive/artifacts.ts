import { buffer } from 'node:stream/consumers';
import type { ArtifactKind } from '../../contract/api.js';
import { SlipwayError } from '../../contract/errors.js';
import { WeightsDate, type Digest } from '../../contract/names.js';
import type { OnProgress, PinnedArtifact } from '../../contract/pipeline.js';
import type { ArchiveLimits } from '../../contract/stack.js';
import type { Cache } from '../cache.js';
import { artifactKey, internalPrefix, type Storage, type StoredArtifact } from '../storage/index.js';
import { ArtifactIndex } from './index.js';
import { makeIndex } from './make-index.js';
import { storedArchive } from './source.js';

export { ensureFiles } from './ensure-files.js';
export { writeFiles } from './write-files.js';

export type ArchiveDeps = { storage: Storage; cache: Cache; limits: ArchiveLimits };
export type Watch = { onProgress: OnProgress; signal: AbortSignal };
export type Wanted = { model: string; kind: ArtifactKind; name: string };

/**
 * Pins the newest content of a source bundle or weights archive: `latest` is the newest date (source has one name
 * only). What has no index yet, because any S3 client put it there, is validated and indexed now. Throws `NotFound`
 * naming the key and what there is instead, `InvalidInput` for dates and archives that are none.
 */
export async function resolveArtifact(
  deps: ArchiveDeps,
  wanted: Wanted,
  watch: Watch,
): Promise<PinnedArtifact> {
  return await indexArtifact(deps, await findArtifact(deps.storage, wanted), watch);
}

/**
 * Validates and indexes one stored version, unless that was done before, and pins it. `archive`, the digest its
 * uploader told, is checked. Throws `InvalidInput` naming what is wrong with the archive.
 */
export async function indexArtifact(
  { storage, cache, limits }: ArchiveDeps,
  artifact: StoredArtifact,
  watch: Watch,
  archive?: Digest,
): Promise<PinnedArtifact> {
  const known = await storedIndex(storage, indexKey(artifact), watch.signal);
  if (known && (archive === undefined || known.archive === archive)) return pinned(artifact, known);
  const source = storedArchive(storage, artifact.object, watch.signal);
  const index = await makeIndex({ source, cache, limits, kind: artifact.kind, archive, ...watch });
  await storage.put(indexKey(artifact), Buffer.from(JSON.stringify(index)));
  return pinned(artifact, index);
}

/** The index of a pinned artifact. Throws `NotFound` when someone removed it: the next deployment makes it again. */
export async function readIndex(
  storage: Storage,
  artifact: PinnedArtifact,
  signal?: AbortSignal,
): Promise<ArtifactIndex> {
  const index = await storedIndex(storage, artifact.index, signal);
  if (index) return index;
  throw new SlipwayError('NotFound', `reading the index "${artifact.index}": there is none`, {
    key: artifact.index,
  });
}

/** Key of a version's index. An ETag stands for the content where a bucket keeps no versions. */
export const indexKey = ({ object }: StoredArtifact): string =>
  `${internalPrefix}index/${object.key}/${object.versionId ?? object.etag}.json`;

async function findArtifact(storage: Storage, { model, kind, name }: Wanted): Promise<StoredArtifact> {
  if (kind === 'weights' && name !== 'latest' && !WeightsDate.safeParse(name).success)
    throw new SlipwayError(
      'InvalidInput',
      `weights "${name}" of "${model}": not a date that exists (YYYYMMDD)`,
    );
  if (kind === 'weights' && name === 'latest') {
    const [newest] = await storage.list(model, kind);
    if (newest) return newest;
    throw await notFound(storage, model, kind, artifactKey(model, kind, 'YYYYMMDD'));
  }
  const stored = kind === 'source' ? model : name;
  const key = artifactKey(model, kind, stored);
  const object = await storage.stat(key);
  if (object) return { model, kind, name: stored, object };
  throw await notFound(storage, model, kind, key);
}

async function notFound(
  storage: Storage,
  model: string,
  kind: ArtifactKind,
  key: string,
): Promise<SlipwayError> {
  const names = (await storage.list(model, kind)).map(({ name }) => name);
  const there =
    names.length === 0 ? `the model has no ${kind} yet` : `there is ${names.slice(0, 10).join(', ')}`;
  return new SlipwayError('NotFound', `looking for ${kind} "${key}": not found; ${there}`, {
    key,
    found: names.slice(0, 10),
  });
}

async function storedIndex(
  storage: Storage,
  key: string,
  signal?: AbortSignal,
): Promise<ArtifactIndex | null> {
  const object = await storage.stat(key);
  if (!object) return null;
  const text = (await buffer(await storage.read(object, undefined, signal))).toString();
  const parsed = ArtifactIndex.safeParse(parseJson(text));
  return parsed.success ? parsed.data : null;
}

/** An index of another format, or a damaged one, is made again. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const pinned = (artifact: StoredArtifact, index: ArtifactIndex): PinnedArtifact => ({
  ...artifact,
  digest: index.digest,
  index: indexKey(artifact),
  files: index.files.length,
  bytes: index.files.reduce((total, { size }) => total + size, 0),
});
