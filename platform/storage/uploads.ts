import type { ArtifactKind, UploadSession } from '../../contract/api.js';
import { SlipwayError } from '../../contract/errors.js';
import { WeightsDate, type Digest } from '../../contract/names.js';
import type { PinnedArtifact } from '../../contract/pipeline.js';
import { indexArtifact, type ArchiveDeps, type Watch } from '../archive/artifacts.js';
import { attempt, connectS3, type S3Config } from './connection.js';
import { artifactKey } from './index.js';
import { assemble, partSizeFor, storedParts } from './parts.js';
import {
  forgetUpload,
  isUnfinished,
  loadUpload,
  pruneUploads,
  saveUpload,
  uploadId,
  type Upload,
} from './upload-records.js';

export { putPart } from './parts.js';
export { listUploads } from './upload-records.js';

/**
 * Starts a multipart upload, or finds the unfinished one of the same key and size, whose parts (with their MD5 in
 * hex) need not be sent again. Throws `InvalidInput` for a date that is none.
 */
export async function startUpload(
  config: S3Config,
  { model, kind, name, size }: { model: string; kind: ArtifactKind; name: string; size: number },
): Promise<UploadSession> {
  if (kind === 'weights' && !WeightsDate.safeParse(name).success)
    throw new SlipwayError(
      'InvalidInput',
      `weights "${name}" of "${model}": not a date that exists (YYYYMMDD)`,
    );
  const s3 = connectS3(config);
  const key = artifactKey(model, kind, name);
  const id = uploadId(key, size);
  const found = await loadUpload(config, id);
  const parts = found && isUnfinished(found) ? await storedParts(s3, found) : null;
  if (found && parts) return { id, key, partSize: found.partSize, parts };
  const partSize = partSizeFor(size);
  await pruneUploads(config);
  const multipart = await attempt(`starting the upload of "${key}"`, () =>
    s3.client.initiateNewMultipartUpload(s3.bucket, key, { 'content-type': 'application/zip' }),
  );
  const startedAt = new Date().toISOString();
  await saveUpload(config, id, { model, kind, name, key, size, partSize, multipart, startedAt });
  return { id, key, partSize, parts: [] };
}

/**
 * Puts the parts together, then validates and indexes exactly that version. When it is refused the version is
 * removed, what it replaced is current again, and `InvalidInput` names the zip entry. Done twice (a reply was
 * lost), it answers the same. Throws `NotFound` for an upload that is unknown or was given up.
 */
export async function completeUpload(
  deps: ArchiveDeps & { s3: S3Config },
  id: string,
  { sha256 }: { sha256: Digest },
  watch: Watch,
): Promise<PinnedArtifact> {
  const { s3, storage } = deps;
  const upload = await loadUpload(s3, id);
  if (!upload)
    throw new SlipwayError('NotFound', `completing upload "${id}": unknown or given up; start it again`);
  const refuse = async (refused: NonNullable<Upload['refused']>, cause?: unknown) => {
    // Remembered first, so that a removal that fails is made up for when the client asks again.
    await saveUpload(s3, id, { ...upload, stored: object, refused });
    await storage.remove(object);
    return new SlipwayError('InvalidInput', refused.message, refused.details, { cause });
  };
  const object = upload.stored ?? (await assemble(s3, id, upload));
  if (upload.refused) throw await refuse(upload.refused);
  const { model, kind, name } = upload;
  try {
    return await indexArtifact(deps, { model, kind, name, object }, watch, sha256);
  } catch (error) {
    if (!(error instanceof SlipwayError) || error.type !== 'InvalidInput') throw error;
    throw await refuse({ message: error.message, details: error.details }, error);
  }
}

/** Gives an upload up; its parts are removed. What is unknown or over is fine. */
export async function abortUpload(config: S3Config, id: string): Promise<void> {
  const upload = await loadUpload(config, id);
  if (upload && isUnfinished(upload)) await forgetUpload(config, id, upload);
}
