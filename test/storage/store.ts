import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import pLimit from 'p-limit';
import type { ArtifactKind } from '../../contract/api.js';
import type { ObjectVersion, Progress } from '../../contract/pipeline.js';
import { ArchiveLimits, type Stack } from '../../contract/stack.js';
import type { ArchiveDeps, Watch } from '../../platform/archive/artifacts.js';
import { openCache, type Cache } from '../../platform/cache.js';
import { connectS3, ensureBucket } from '../../platform/storage/connection.js';
import { artifactKey, type Storage } from '../../platform/storage/index.js';
import { s3Storage } from '../../platform/storage/s3.js';
import { listVersions } from '../../platform/storage/versions.js';
import { testStack } from '../support/stack.js';
import { FaultyProxy } from './faulty-proxy.js';

/** The run's S3, which is all that tests of storage need of its stack. They make buckets of their own in it. */
export const testS3 = async (): Promise<Stack['s3']> => (await testStack()).s3;

/** A model store of its own: a bucket on the stack's S3, reached through a proxy that can break, and a cache folder. */
export class TestStore {
  readonly seen: Progress[] = [];

  private constructor(
    /** Straight to the server. */
    readonly direct: Stack['s3'],
    /** Through the proxy. */
    readonly s3: Stack['s3'],
    readonly proxy: FaultyProxy,
    readonly folder: string,
    readonly storage: Storage,
    readonly cache: Cache,
  ) {}

  static async open(options: { versions?: boolean; cacheBytes?: number } = {}): Promise<TestStore> {
    const direct = { ...(await testS3()), bucket: `t-${randomBytes(6).toString('hex')}` };
    if (options.versions ?? true) await ensureBucket(direct);
    else await connectS3(direct).client.makeBucket(direct.bucket);
    const proxy = await FaultyProxy.start(new URL(direct.endpoint));
    const s3 = { ...direct, endpoint: proxy.url };
    const folder = await mkdtemp(join(tmpdir(), 'slipway-store-'));
    const cache = await openCache({ path: join(folder, 'cache'), maxBytes: options.cacheBytes ?? 2 ** 40 });
    return new TestStore(direct, s3, proxy, folder, s3Storage(s3), cache);
  }

  deps(limits: Partial<ArchiveLimits> = {}): ArchiveDeps {
    return { storage: this.storage, cache: this.cache, limits: ArchiveLimits.parse(limits) };
  }

  watch(signal: AbortSignal = new AbortController().signal): Watch {
    return { signal, onProgress: (progress) => this.seen.push(progress) };
  }

  /** As any S3 client would: no Slipway involved but for the connection. */
  async put(model: string, kind: ArtifactKind, name: string, bytes: Buffer): Promise<ObjectVersion> {
    return await s3Storage(this.direct).put(artifactKey(model, kind, name), bytes);
  }

  async bytes(object: ObjectVersion): Promise<Buffer> {
    return await buffer(await s3Storage(this.direct).read(object));
  }

  /** Keys of all that is stored, one for each version. */
  async keys(prefix = ''): Promise<string[]> {
    return (await listVersions(connectS3(this.direct), prefix)).map(({ object }) => object.key);
  }

  /** Files in the cache folder, whole and partial, relative to it. */
  async cached(): Promise<string[]> {
    const entries = await readdir(this.cache.path, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
  }

  async close(): Promise<void> {
    await this.proxy.close();
    await rm(this.folder, { recursive: true, force: true });
    const { client, bucket } = connectS3(this.direct);
    const versions = await listVersions(connectS3(this.direct), '');
    const limit = pLimit(32);
    await Promise.all(versions.map(({ object }) => limit(() => s3Storage(this.direct).remove(object))));
    await client.removeBucket(bucket);
  }
}
