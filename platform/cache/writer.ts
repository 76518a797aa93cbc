import { createHash } from 'node:crypto';
import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { digestOf, type Digest } from '../../contract/names.js';
import { describeWriteError, DiskFullError } from './disk-full.js';

/** What was written is not what was announced. */
export class DigestMismatchError extends Error {
  override readonly name = 'DigestMismatchError';

  constructor(
    readonly expected: Digest,
    readonly got: Digest,
  ) {
    super(`expected ${expected}, got ${got}`);
  }
}

/** Chunks come by the 64 KiB; written one by one they would cost more than they weigh. */
const flushBytes = 1 << 20;

/** Freed at once when the disk is full: more than the next chunk, or the whole folder would be listed for each. */
const spaceBytes = 256 << 20;

/** Where a finished file goes. */
export type Place = {
  folder: string;
  /** Gives up other files when the disk is full; false: there is none left to give up. */
  makeSpace: (bytes: number) => Promise<boolean>;
  install: (partial: string, digest: Digest, size: number) => Promise<void>;
};

/** A file on its way into the cache: hashed while written, visible only after `commit`. End it with exactly one of `commit`, `keep`, `discard`. */
export class CacheWriter {
  readonly #hash = createHash('sha256');
  #length = 0;
  #pending: Buffer[] = [];
  #pendingBytes = 0;

  private constructor(
    readonly place: Place,
    readonly path: string,
    readonly handle: FileHandle,
    /** Where the bytes so far wait for the next attempt. */
    readonly rest: string | undefined,
  ) {}

  /** Opens or makes `path`; bytes it already holds are hashed again, not trusted. */
  static async open(place: Place, path: string, rest?: string): Promise<CacheWriter> {
    let handle: FileHandle;
    try {
      handle = await open(path, 'a+');
    } catch (error) {
      throw describeWriteError(error, 'writing into the cache', place.folder);
    }
    const writer = new CacheWriter(place, path, handle, rest);
    try {
      for await (const chunk of handle.createReadStream({
        start: 0,
        autoClose: false,
      }) as AsyncIterable<Buffer>)
        writer.#count(chunk);
    } catch (error) {
      await writer.discard();
      throw error;
    }
    return writer;
  }

  /** Bytes written so far, those of earlier attempts included. */
  get length(): number {
    return this.#length;
  }

  /** Takes a chunk, which must not change any more. Throws `DiskFullError` naming the folder when there is no room. */
  async write(chunk: Buffer): Promise<void> {
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    const flushed = this.#pendingBytes >= flushBytes ? this.#flush() : undefined;
    // Hashed while the disk is busy.
    this.#count(chunk);
    await flushed;
  }

  /** Makes the file visible under its digest. Throws `DigestMismatchError`, and removes it, when that is not the expected one. */
  async commit(expected?: Digest): Promise<{ digest: Digest; size: number }> {
    const digest = digestOf(this.#hash.digest('hex'));
    try {
      if (expected && digest !== expected) throw new DigestMismatchError(expected, digest);
      await this.#flush();
      await this.handle.sync().catch((error: unknown) => {
        throw describeWriteError(error, 'writing into the cache', this.place.folder);
      });
      await this.handle.close();
      await this.place.install(this.path, digest, this.#length);
      return { digest, size: this.#length };
    } catch (error) {
      await this.discard();
      throw error;
    }
  }

  /** Leaves the bytes so far to the next attempt. */
  async keep(): Promise<void> {
    if (this.rest === undefined || this.#length === 0) return await this.discard();
    try {
      await this.#flush();
    } catch (error) {
      await this.discard();
      throw error;
    }
    await this.handle.close();
    await rename(this.path, this.rest);
  }

  async discard(): Promise<void> {
    await this.handle.close();
    await rm(this.path, { force: true });
  }

  async #flush(): Promise<void> {
    const chunks = this.#pending;
    let left = this.#pendingBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
    while (left > 0)
      try {
        const { bytesWritten } = await this.handle.writev(chunks);
        left -= bytesWritten;
        dropFront(chunks, bytesWritten);
      } catch (error) {
        const described = describeWriteError(error, 'writing into the cache', this.place.folder);
        if (!(described instanceof DiskFullError && (await this.place.makeSpace(spaceBytes))))
          throw described;
      }
  }

  #count(chunk: Buffer): void {
    this.#hash.update(chunk);
    this.#length += chunk.length;
  }
}

/** Leaves what a write that stopped early has not written. */
function dropFront(chunks: Buffer[], bytes: number): void {
  for (let left = bytes; left > 0;) {
    const first = chunks[0]!;
    if (first.length > left) chunks[0] = first.subarray(left);
    else chunks.shift();
    left -= Math.min(left, first.length);
  }
}
