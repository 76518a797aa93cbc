import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { UploadSession } from '../../contract/api.js';
import { SlipwayError } from '../../contract/errors.js';
import type { ObjectVersion } from '../../contract/pipeline.js';
import { attempt, codeOf, connectS3, isMissing, pin, send, type S3, type S3Config } from './connection.js';
import { isUnfinished, loadUpload, saveUpload, type Upload } from './upload-records.js';
import { listVersions } from './versions.js';

const mebibyte = 2 ** 20;
/** S3's own bounds: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
const maxParts = 10_000;
const maxPartBytes = 5 * 2 ** 30;

/** Bytes of a part: at least 8 MiB, and so many that 10,000 parts do. */
export function partSizeFor(size: number): number {
  const partSize = Math.max(8 * mebibyte, Math.ceil(size / maxParts / mebibyte) * mebibyte);
  if (partSize > maxPartBytes)
    throw new SlipwayError('InvalidInput', `uploading ${size} bytes: more than an object in S3 can hold`);
  return partSize;
}

/** Parts that arrived whole; null when S3 does not know the upload (any more). */
export async function storedParts(
  s3: S3,
  { key, multipart }: Upload,
): Promise<UploadSession['parts'] | null> {
  try {
    const parts = await attempt(`looking for parts of "${key}"`, () =>
      s3.client.parts(s3.bucket, key, multipart),
    );
    return parts.map(({ part, size, etag }) => ({ number: part, size, md5: etag }));
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

/**
 * Stores one part as it streams by. Throws `InvalidInput` when its length is not the part's or its bytes do not
 * match the base64 MD5 sent with it (https://www.rfc-editor.org/rfc/rfc1864), `NotFound` for an upload that is
 * unknown or over. Not kept in those cases; other errors may pass when the part is sent again.
 */
export async function putPart(
  config: S3Config,
  id: string,
  number: number,
  body: Readable,
  contentMd5?: string,
  signal?: AbortSignal,
): Promise<void> {
  const upload = await loadUpload(config, id);
  if (!upload || !isUnfinished(upload)) throw over(id);
  const length = lengthOfPart(upload, number);
  const doing = `uploading part ${number} of "${upload.key}"`;
  const checked = checking(body, length, doing);
  const headers = { 'content-length': String(length), ...(contentMd5 ? { 'content-md5': contentMd5 } : {}) };
  const query = { partNumber: String(number), uploadId: upload.multipart };
  let answer: Awaited<ReturnType<typeof send>>;
  try {
    answer = await send(connectS3(config), 'PUT', upload.key, query, {
      headers,
      body: checked.stream,
      signal,
    });
  } catch (cause) {
    signal?.throwIfAborted();
    throw checked.problem() ?? new Error(doing, { cause });
  }
  const text = await answer.body.text();
  if (answer.statusCode === 200) return;
  if (/<Code>(?:BadDigest|InvalidDigest)<\/Code>/.test(text))
    throw new SlipwayError('InvalidInput', `${doing}: the bytes do not match their MD5`, { part: number });
  if (/<Code>NoSuchUpload<\/Code>/.test(text)) throw over(id);
  throw checked.problem() ?? new Error(`${doing}: the storage answered ${answer.statusCode}`);
}

/** Turns the parts into one version of the object and remembers which; again, after a lost reply, finds it. */
export async function assemble(config: S3Config, id: string, upload: Upload): Promise<ObjectVersion> {
  const s3 = connectS3(config);
  const { key } = upload;
  const parts = await storedParts(s3, upload);
  const etag = parts ? etagOf(parts) : upload.etag;
  let made: { etag?: string; versionId?: string } = etag ? { etag } : {};
  if (parts) {
    refuseGaps(upload, parts);
    // Written first: when the reply is lost, the version is found by its ETag.
    await saveUpload(config, id, { ...upload, etag: etagOf(parts) });
    const etags = parts.map(({ number, md5 }) => ({ part: number, etag: md5 }));
    try {
      const answer = await s3.client.completeMultipartUpload(s3.bucket, key, upload.multipart, etags);
      made = { etag: answer.etag, ...pin(answer.versionId) };
    } catch (cause) {
      if (codeOf(cause) !== 'NoSuchUpload') throw new Error(`completing the upload of "${key}"`, { cause });
    }
  }
  const found = (await listVersions(s3, key)).find(
    ({ object }) =>
      object.key === key &&
      (made.versionId === undefined ? object.etag === made.etag : object.versionId === made.versionId),
  );
  if (!found) throw over(id);
  await saveUpload(config, id, { ...upload, stored: found.object });
  return found.object;
}

function refuseGaps(upload: Upload, parts: UploadSession['parts']): void {
  const sizes = new Map(parts.map(({ number, size }) => [number, size]));
  const numbers = Array.from({ length: Math.ceil(upload.size / upload.partSize) }, (_, index) => index + 1);
  const missing = numbers.filter((number) => sizes.get(number) !== lengthOfPart(upload, number));
  if (missing.length > 0)
    throw new SlipwayError(
      'InvalidInput',
      `completing the upload of "${upload.key}": ${missing.length} of ${numbers.length} parts are missing`,
      { missing: missing.slice(0, 100) },
    );
}

/** The ETag S3 gives an object made of parts: MD5 over the parts' MD5s. */
function etagOf(parts: { md5: string }[]): string {
  const hash = createHash('md5');
  for (const { md5 } of parts) hash.update(Buffer.from(md5, 'hex'));
  return `${hash.digest('hex')}-${parts.length}`;
}

const over = (id: string): SlipwayError =>
  new SlipwayError('NotFound', `upload "${id}": unknown or over; start it again`);

function lengthOfPart({ size, partSize, key }: Upload, number: number): number {
  const start = (number - 1) * partSize;
  if (!Number.isInteger(number) || number < 1 || start >= size)
    throw new SlipwayError('InvalidInput', `uploading part ${number} of "${key}": there is no such part`);
  return Math.min(partSize, size - start);
}

/** Passes bytes on while they are as many as promised and no more, and says what was wrong with them. */
function checking(body: Readable, length: number, doing: string) {
  let problem: Error | undefined;
  const refuse = (what: string) =>
    (problem = new SlipwayError('InvalidInput', `${doing}: ${what}`, { length }));
  async function* pass(): AsyncGenerator<Buffer> {
    let seen = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      seen += chunk.length;
      if (seen > length) throw refuse(`more than the ${length} bytes of this part`);
      yield chunk;
    }
    if (seen < length) throw refuse(`${seen} bytes instead of the ${length} of this part`);
  }
  return { stream: Readable.from(pass(), { objectMode: false }), problem: () => problem };
}
