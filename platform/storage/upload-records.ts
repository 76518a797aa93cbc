import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { z } from 'zod';
import { ArtifactKind } from '../../contract/api.js';
import { ObjectVersion } from '../../contract/pipeline.js';
import { attempt, connectS3, isMissing, type S3Config } from './connection.js';
import { internalPrefix } from './index.js';
import { s3Storage } from './s3.js';
import { listVersions } from './versions.js';

/** What is remembered of an upload, in an object of its own: MinIO lists unfinished uploads of a known key only. */
export const Upload = z.object({
  model: z.string(),
  kind: ArtifactKind,
  name: z.string(),
  key: z.string(),
  size: z.number().int(),
  partSize: z.number().int(),
  /** S3's id of the multipart upload. */
  multipart: z.string(),
  startedAt: z.iso.datetime(),
  /** The ETag that the object will have; written before it is put together. */
  etag: z.string().optional(),
  /** Set once it was put together. */
  stored: ObjectVersion.optional(),
  /** Why it was refused; the version is removed then. */
  refused: z.object({ message: z.string(), details: z.record(z.string(), z.unknown()) }).optional(),
});
export type Upload = z.infer<typeof Upload>;

const prefix = `${internalPrefix}uploads/`;
/** How long a client whose reply was lost may ask again. */
const answerMs = 24 * 3_600_000;
/** How long a client may take to come back to an unfinished upload. */
const unfinishedMs = 7 * 24 * 3_600_000;

/** The same key with another size is another upload. */
export const uploadId = (key: string, size: number): string =>
  createHash('sha256').update(`${key}\n${size}`).digest('hex').slice(0, 32);

export async function saveUpload(config: S3Config, id: string, upload: Upload): Promise<void> {
  await s3Storage(config).put(keyOf(id), Buffer.from(JSON.stringify(upload)));
}

export async function loadUpload(config: S3Config, id: string): Promise<Upload | null> {
  if (!/^[0-9a-f]{32}$/.test(id)) return null;
  const storage = s3Storage(config);
  const object = await storage.stat(keyOf(id));
  return object && Upload.parse(JSON.parse((await buffer(await storage.read(object))).toString()));
}

/** Removes an upload and the parts that have not become an object. */
export async function forgetUpload(config: S3Config, id: string, upload: Upload): Promise<void> {
  const s3 = connectS3(config);
  if (isUnfinished(upload))
    await attempt(`giving up the upload of "${upload.key}"`, () =>
      s3.client.abortMultipartUpload(s3.bucket, upload.key, upload.multipart),
    ).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
    });
  // Every version of the record: with the newest alone gone, the one before would come back.
  for (const { object } of await listVersions(s3, keyOf(id))) await s3Storage(config).remove(object);
}

/** Uploads that were begun and not completed: their parts take space until they are completed or given up. */
export async function listUploads(
  config: S3Config,
): Promise<{ id: string; key: string; size: number; startedAt: string }[]> {
  const unfinished = (await records(config)).filter(({ upload }) => isUnfinished(upload));
  return unfinished.map(({ id, upload: { key, size, startedAt } }) => ({ id, key, size, startedAt }));
}

/** Forgets uploads nobody will come back for. */
export async function pruneUploads(config: S3Config): Promise<void> {
  for (const { id, upload } of await records(config)) {
    const age = Date.now() - Date.parse(upload.startedAt);
    if (age > (isUnfinished(upload) ? unfinishedMs : answerMs)) await forgetUpload(config, id, upload);
  }
}

export const isUnfinished = ({ stored, refused }: Upload): boolean => !stored && !refused;

async function records(config: S3Config): Promise<{ id: string; upload: Upload }[]> {
  const latest = (await listVersions(connectS3(config), prefix)).filter((version) => version.latest);
  const ids = latest.map(({ object }) => object.key.slice(prefix.length, -'.json'.length));
  const loaded = await Promise.all(ids.map(async (id) => ({ id, upload: await loadUpload(config, id) })));
  return loaded.flatMap(({ id, upload }) => (upload ? [{ id, upload }] : []));
}

const keyOf = (id: string): string => `${prefix}${id}.json`;
