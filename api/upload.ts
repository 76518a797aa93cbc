import { createHash } from 'node:crypto';
import { open, stat, type FileHandle } from 'node:fs/promises';
import pLimit from 'p-limit';
import pRetry from 'p-retry';
import type { ArtifactKind, UploadSession } from '../contract/api.js';
import { SlipwayError } from '../contract/errors.js';
import { digestOf, type Digest } from '../contract/names.js';
import type { PinnedArtifact } from '../contract/pipeline.js';
import { ApiFailure, type ApiClient } from './client.js';

/** What is to be uploaded: a zip on disk. `date` is for weights only; default: today (UTC). */
export type Upload = { model: string; kind: ArtifactKind; file: string; date?: string };
export type UploadWatch = {
  /** Called with the bytes that are stored, of how many. */
  onStored?: (stored: number, size: number) => void;
  /** Called once when an interrupted upload of the same size is gone on with. */
  onResumed?: (session: UploadSession) => void;
  signal?: AbortSignal;
};

/** Parts sent at the same time; as many are held in memory. */
const concurrency = 3;

/**
 * Sends a file in parts, leaving out those that are stored already, and has it validated. Throws `InvalidInput` for
 * a file that cannot be read, {@link ApiFailure} naming the zip entry for one that is refused.
 */
export async function upload(
  client: ApiClient,
  { model, kind, file, date }: Upload,
  { onStored = () => undefined, onResumed = () => undefined, signal }: UploadWatch = {},
): Promise<PinnedArtifact> {
  const handle = await openFile(file);
  try {
    const { size } = await handle.stat();
    const body = { kind, size, ...(kind === 'weights' && date ? { date } : {}) };
    const stop = signal ? { signal } : {};
    const session = await again(
      () => client.call('startUpload', { params: { model }, body, ...stop }),
      signal,
    );
    if (session.parts.length > 0) onResumed(session);
    const sending = new Sending(client, model, session, size, onStored, signal);
    const sha256 = await sending.send(handle);
    const params = { model, id: session.id };
    return await again(() => client.call('completeUpload', { params, body: { sha256 }, ...stop }), signal);
  } finally {
    await handle.close();
  }
}

async function openFile(file: string): Promise<FileHandle> {
  const found = await stat(file).catch(() => null);
  if (!found) throw new SlipwayError('InvalidInput', `reading "${file}": there is no such file`);
  if (!found.isFile() || found.size === 0)
    throw new SlipwayError('InvalidInput', `reading "${file}": not a file with anything in it`);
  return await open(file).catch((cause: NodeJS.ErrnoException) => {
    throw new SlipwayError('InvalidInput', `reading "${file}": ${cause.message}`, {}, { cause });
  });
}

/** Every call of an upload may be made again after a lost reply; what was refused stays refused. */
const again = <T>(call: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> =>
  pRetry(call, {
    retries: 6,
    shouldRetry: ({ error }) => error instanceof ApiFailure && (error.status === 0 || error.status >= 500),
    ...(signal ? { signal } : {}),
  });

/** Reads the file once, sends the parts that are missing and hashes all of it on the way. */
class Sending {
  private readonly limit = pLimit(concurrency);
  private readonly under = new Set<Promise<void>>();
  /** Ends what is under way as soon as one part fails for good. */
  private readonly failed = new AbortController();
  private readonly signal: AbortSignal;
  private readonly known: Map<number, string>;
  private stored = 0;

  constructor(
    private readonly client: ApiClient,
    private readonly model: string,
    private readonly session: UploadSession,
    private readonly size: number,
    private readonly onStored: (stored: number, size: number) => void,
    signal?: AbortSignal,
  ) {
    this.known = new Map(session.parts.map(({ number, md5 }) => [number, md5]));
    this.signal = signal ? AbortSignal.any([signal, this.failed.signal]) : this.failed.signal;
  }

  async send(handle: FileHandle): Promise<Digest> {
    const { partSize } = this.session;
    const hash = createHash('sha256');
    try {
      for (let number = 1, at = 0; at < this.size; number += 1, at += partSize) {
        this.signal.throwIfAborted();
        const bytes = await readPart(handle, at, Math.min(partSize, this.size - at));
        hash.update(bytes);
        const md5 = createHash('md5').update(bytes).digest();
        if (this.known.get(number) === md5.toString('hex')) this.count(bytes);
        else await this.enqueue({ number, bytes, md5: md5.toString('base64') });
      }
      await Promise.all(this.under);
      // A part that failed is under way no more, and would be overlooked.
      this.signal.throwIfAborted();
    } catch (error) {
      this.failed.abort(error);
      await Promise.allSettled(this.under);
      throw error;
    }
    return digestOf(hash.digest('hex'));
  }

  /** Returns when there is room: no more parts are in memory than are being sent. */
  private async enqueue(part: { number: number; bytes: Buffer; md5: string }): Promise<void> {
    const { client, model, session, signal } = this;
    const sent = this.limit(() => again(() => client.putPart(model, session.id, part, signal), signal))
      .then(() => this.count(part.bytes))
      .finally(() => this.under.delete(sent));
    this.under.add(sent);
    // Awaited below or at the end; until then it must not count as unhandled.
    sent.catch((error: unknown) => this.failed.abort(error));
    while (this.under.size >= concurrency) await Promise.race(this.under);
  }

  private count(bytes: Buffer): void {
    this.stored += bytes.length;
    this.onStored(this.stored, this.size);
  }
}

async function readPart(handle: FileHandle, at: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  for (let read = 0; read < length;) {
    const { bytesRead } = await handle.read(bytes, read, length - read, at + read);
    if (bytesRead === 0) throw new SlipwayError('InvalidInput', 'the file became shorter while it was read');
    read += bytesRead;
  }
  return bytes;
}
