import { randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { digestOf, hexOf, type Digest } from '../contract/names.js';
import type { Stack } from '../contract/stack.js';
import { describeWriteError } from './cache/disk-full.js';
import { evict, findAbandoned, freeSpace, sweepAbandoned } from './cache/evict.js';
import { CacheWriter } from './cache/writer.js';

export { DiskFullError } from './cache/disk-full.js';
export { DigestMismatchError, type CacheWriter } from './cache/writer.js';

/**
 * Files by their sha256 below one folder: `files/ab/<hex>` whole and verified, `partial/` still being written.
 * Several processes may share the folder: a file appears by an atomic rename or not at all.
 */
export interface Cache {
  readonly path: string;
  /** Path a file has, or would have. Hold a {@link lease} while using it. */
  pathOf(digest: Digest): string;
  /** Whether the file is there; marks it as just used. */
  has(digest: Digest): Promise<boolean>;
  /** Its bytes from `start`. Throws when it is not there. */
  open(digest: Digest, start?: number): Promise<Readable>;
  /** A new file whose digest is not known yet. */
  create(): Promise<CacheWriter>;
  /** A new file of known digest, continued from what a cut attempt left: see `length`. */
  resume(digest: Digest): Promise<CacheWriter>;
  /** Keeps files from being evicted by this process until the returned function is called. */
  lease(digests: Iterable<Digest>): () => void;
  remove(digest: Digest): Promise<void>;
}

/** Opens the cache, making its folder where missing. Its size bound is kept by evicting what was used longest ago. */
export async function openCache({ path, maxBytes }: Stack['cache']): Promise<Cache> {
  const cache = new FileCache(resolve(path), maxBytes);
  try {
    await mkdir(cache.files, { recursive: true });
    await mkdir(cache.partial, { recursive: true });
  } catch (error) {
    throw describeWriteError(error, `making the cache folder "${path}"`, cache.path);
  }
  await sweepAbandoned(cache.partial);
  return cache;
}

class FileCache implements Cache {
  readonly files: string;
  readonly partial: string;
  readonly #leases = new Map<Digest, number>();
  /** Bytes that may be written before the folder is measured again. */
  #allowance = 0;
  #eviction: Promise<void> = Promise.resolve();

  constructor(
    readonly path: string,
    readonly maxBytes: number,
  ) {
    this.files = join(path, 'files');
    this.partial = join(path, 'partial');
  }

  pathOf(digest: Digest): string {
    const hex = hexOf(digest);
    return join(this.files, hex.slice(0, 2), hex);
  }

  async has(digest: Digest): Promise<boolean> {
    const now = new Date();
    try {
      await utimes(this.pathOf(digest), now, now);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  }

  async open(digest: Digest, start = 0): Promise<Readable> {
    const release = this.lease([digest]);
    try {
      const handle = await open(this.pathOf(digest));
      return handle.createReadStream({ start, highWaterMark: 512 * 1024 }).once('close', release);
    } catch (cause) {
      release();
      throw new Error(`opening "${digest}" in the cache "${this.path}"`, { cause });
    }
  }

  async create(): Promise<CacheWriter> {
    await this.#makeRoom();
    return await CacheWriter.open(this.#place(), join(this.partial, owned(randomUUID())));
  }

  async resume(digest: Digest): Promise<CacheWriter> {
    await this.#makeRoom();
    const hex = hexOf(digest);
    const own = join(this.partial, owned(hex));
    // A rename can succeed for one claimant only, so two attempts never write into the same file.
    for (const name of [hex, ...(await findAbandoned(this.partial, hex))])
      if (await renamed(join(this.partial, name), own)) break;
    return await CacheWriter.open(this.#place(), own, join(this.partial, hex));
  }

  lease(digests: Iterable<Digest>): () => void {
    const held = [...digests];
    for (const digest of held) this.#leases.set(digest, (this.#leases.get(digest) ?? 0) + 1);
    let released = false;
    return () => {
      if (released) return;
      released = true;
      for (const digest of held) {
        const count = (this.#leases.get(digest) ?? 1) - 1;
        if (count === 0) this.#leases.delete(digest);
        else this.#leases.set(digest, count);
      }
    };
  }

  async remove(digest: Digest): Promise<void> {
    await rm(this.pathOf(digest), { force: true });
  }

  #isLeased = (hex: string): boolean => this.#leases.has(digestOf(hex));

  #place() {
    return {
      folder: this.path,
      makeSpace: async (bytes: number) => (await freeSpace(this.files, bytes, this.#isLeased)) > 0,
      install: async (partial: string, digest: Digest, size: number) => {
        const path = this.pathOf(digest);
        await mkdir(dirname(path), { recursive: true });
        await rename(partial, path);
        this.#allowance -= size;
      },
    };
  }

  /** Measures the folder now and then, not at each file: it may hold a hundred thousand of them. */
  async #makeRoom(): Promise<void> {
    this.#eviction = this.#eviction
      .catch(() => undefined)
      .then(async () => {
        if (this.#allowance > 0) return;
        const used = await evict(this, this.#isLeased);
        this.#allowance = Math.max((this.maxBytes - used) / 4, this.maxBytes / 100);
      });
    await this.#eviction;
  }
}

let serial = 0;
/** Name of a file that this process is writing; says who, so that others can tell when it is abandoned. */
const owned = (stem: string): string => `${stem}@${hostname()}@${process.pid}@${serial++}`;

async function renamed(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
