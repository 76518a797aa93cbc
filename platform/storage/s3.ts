import { Readable } from 'node:stream';
import pRetry, { AbortError } from 'p-retry';
import type { ArtifactKind } from '../../contract/api.js';
import { SlipwayError } from '../../contract/errors.js';
import { WeightsDate } from '../../contract/names.js';
import type { ObjectVersion } from '../../contract/pipeline.js';
import {
  attempt,
  connectS3,
  ensureBucket,
  isMissing,
  modified,
  pin,
  retries,
  send,
  type S3,
  type S3Config,
} from './connection.js';
import { artifactKey, type Storage, type StoredArtifact } from './index.js';
import { resumingStream } from './resume.js';
import { listVersions } from './versions.js';

/** Storage in an S3 bucket, which should keep versions: only then stays what was pinned readable. */
export function s3Storage(config: S3Config): Storage {
  return new S3Storage(config);
}

class S3Storage implements Storage {
  readonly s3: S3;

  constructor(readonly config: S3Config) {
    this.s3 = connectS3(config);
  }

  async prepare(signal?: AbortSignal): Promise<void> {
    await ensureBucket(this.config, signal);
  }

  async list(model: string, kind: ArtifactKind): Promise<StoredArtifact[]> {
    const [before, after] = artifactKey(model, kind, '*').split('*') as [string, string];
    const found = (await listVersions(this.s3, before)).flatMap(({ latest, object }) => {
      const name = object.key.slice(before.length, -after.length);
      const named =
        object.key === before + name + after && (kind === 'weights' ? isDate(name) : name === model);
      return latest && named ? [{ model, kind, name, object }] : [];
    });
    return found.sort((a, b) => b.name.localeCompare(a.name));
  }

  async listUnder(prefix: string): Promise<ObjectVersion[]> {
    const found = (await listVersions(this.s3, prefix)).filter(({ latest }) => latest);
    return found.map(({ object }) => object).sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async stat(key: string): Promise<ObjectVersion | null> {
    return await this.#stat(key);
  }

  async read(
    object: ObjectVersion,
    range: { start: number; end?: number } = { start: 0 },
    signal?: AbortSignal,
  ): Promise<Readable> {
    const { start } = range;
    const end = Math.min(range.end ?? Infinity, object.size - 1);
    if (start > end) return Readable.from([]);
    const doing = `reading "${object.key}"`;
    const open = (at: number) => this.#open(doing, object, at, end, signal);
    return resumingStream(doing, { start, end }, await open(start), open, signal);
  }

  async put(key: string, body: Buffer | Readable, size?: number): Promise<ObjectVersion> {
    const { client, bucket } = this.s3;
    const doing = `storing "${key}"`;
    const put = () => client.putObject(bucket, key, body, size);
    // A stream can be read once only: its owner has to start again.
    const { versionId } = Buffer.isBuffer(body)
      ? await attempt(doing, put)
      : await put().catch((cause: unknown) => {
          throw new Error(doing, { cause });
        });
    const stored = await this.#stat(key, versionId ?? undefined);
    if (!stored) throw new Error(`${doing}: it was removed again at once`);
    return stored;
  }

  async remove(object: ObjectVersion): Promise<void> {
    const { client, bucket } = this.s3;
    const { key, versionId } = object;
    if (versionId === undefined && (await this.#stat(key))?.etag !== object.etag) return;
    await attempt(`removing "${key}"`, () =>
      client.removeObject(bucket, key, versionId ? { versionId } : {}),
    );
  }

  async #stat(key: string, versionId?: string): Promise<ObjectVersion | null> {
    const { client, bucket } = this.s3;
    try {
      const found = await attempt(`looking for "${key}"`, () =>
        client.statObject(bucket, key, versionId ? { versionId } : {}),
      );
      return {
        key,
        ...pin(found.versionId),
        etag: found.etag,
        size: found.size,
        modified: modified(found.lastModified),
      };
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  /** One answer with exactly the bytes asked for, tried again while the server can't give any. */
  async #open(
    doing: string,
    object: ObjectVersion,
    start: number,
    end: number,
    signal?: AbortSignal,
  ): Promise<Readable> {
    const query = object.versionId ? { versionId: object.versionId } : {};
    const headers = { range: `bytes=${start}-${end}`, 'if-match': `"${object.etag}"` };
    const open = async () => {
      const answer = await send(this.s3, 'GET', object.key, query, { headers, signal });
      const length = Number(answer.headers['content-length']);
      if (answer.statusCode === 206 && length === end + 1 - start) return answer.body;
      await answer.body.dump();
      throw refusal(doing, object, answer.statusCode);
    };
    try {
      return await pRetry(open, { ...retries, ...(signal ? { signal } : {}) });
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof SlipwayError) throw cause;
      throw new Error(doing, { cause });
    }
  }
}

/** Why a read was not answered: what trying again can't mend ends the retries. */
function refusal(doing: string, { key, etag, versionId }: ObjectVersion, status: number): Error {
  const details = { key, etag, ...(versionId ? { versionId } : {}) };
  if (status === 412)
    return new AbortError(new SlipwayError('Conflict', `${doing}: overwritten since it was pinned`, details));
  if (status === 404 || status === 405)
    return new AbortError(new SlipwayError('NotFound', `${doing}: this version was deleted`, details));
  const error = new Error(`the storage answered ${status}`);
  return status === 401 || status === 403 ? new AbortError(error) : error;
}

const isDate = (name: string): boolean => WeightsDate.safeParse(name).success;
