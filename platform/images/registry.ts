import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { SlipwayError } from '../../contract/errors.js';
import { Digest, digestOf } from '../../contract/names.js';
import type { BlobSource, Manifest, Registry, Watch } from './index.js';
import { acceptedManifests, imageForPlatform, parseManifest } from './manifest.js';
import { RegistryError } from './registry-errors.js';
import { discard, RegistryHttp, type Answer, type Call } from './registry-http.js';
import { uploadBlob } from './registry-upload.js';

/** Configs and manifests are read into memory; registries allow manifests of 4 MiB. */
const maxBytes = 16 * 2 ** 20;

/**
 * Opens nothing yet: the first call authenticates. `url` without a scheme means https, or http on this machine.
 * Throws `PushFailed` when the registry refuses the user or its disk is full; what may pass is tried again first.
 */
export const createRegistry = (options: { url: string; username: string; password: string }): Registry =>
  new DistributionRegistry(new RegistryHttp(options));

class DistributionRegistry implements Registry {
  readonly #http: RegistryHttp;

  constructor(http: RegistryHttp) {
    this.#http = http;
  }

  async hasBlob(repository: string, digest: Digest, signal?: AbortSignal): Promise<boolean> {
    return (await this.blobSize(repository, digest, signal)) !== null;
  }

  async blobSize(repository: string, digest: Digest, signal?: AbortSignal): Promise<number | null> {
    // A HEAD may be answered from a cache that outlives the blob: one byte of it proves more.
    const call = this.#blob(
      'looking for',
      repository,
      digest,
      { range: 'bytes=0-0' },
      [200, 206, 404, 416],
      signal,
    );
    return await this.#http.send(call, (answer) => {
      if (answer.status === 404) return null;
      const length =
        answer.status !== 200
          ? /\/(\d+)$/.exec(answer.header('content-range') ?? '')?.[1]
          : answer.header('content-length');
      return length === undefined ? null : Number(length);
    });
  }

  async putBlob(repository: string, blob: BlobSource, watch: Watch): Promise<number> {
    const has = () => this.hasBlob(repository, blob.digest, watch.signal);
    return await uploadBlob({ http: this.#http, repository, blob, watch, has });
  }

  async readBlob(repository: string, digest: Digest, signal?: AbortSignal): Promise<Buffer> {
    const call = this.#blob('reading', repository, digest, {}, [200], signal);
    return await this.#http.send(call, async (answer) => {
      const bytes = await bounded(call, answer);
      verify(call, digest, bytes);
      return bytes;
    });
  }

  async openBlob(repository: string, digest: Digest, start: number, signal?: AbortSignal): Promise<Readable> {
    const headers: Record<string, string> = start > 0 ? { range: `bytes=${start}-` } : {};
    const call = this.#blob('reading', repository, digest, headers, [start > 0 ? 206 : 200], signal);
    return (await this.#http.exchange(call)).body;
  }

  async mountBlob(repository: string, digest: Digest, from: string): Promise<boolean> {
    const query = new URLSearchParams({ mount: digest, from });
    const call: Call = {
      doing: `mounting layer "${digest}" of "${from}" into "${repository}"`,
      method: 'POST',
      url: `/v2/${repository}/blobs/uploads/?${query}`,
      repository,
      scopes: [`repository:${repository}:pull,push`, `repository:${from}:pull`],
      headers: { 'content-length': '0' },
      accept: [201, 202],
    };
    const { mounted, session } = await this.#http.send(call, (answer) => ({
      mounted: answer.status === 201,
      session: answer.header('location'),
    }));
    // The registry has begun an upload instead, which nobody will send.
    if (!mounted && session !== undefined)
      await this.#http.send(
        { ...call, method: 'DELETE', url: session, accept: [202, 204, 400, 404, 405] },
        discard,
      );
    return mounted;
  }

  async getManifest(
    repository: string,
    reference: string,
  ): Promise<{ digest: Digest; manifest: Manifest; raw: Buffer } | null> {
    const found = await this.#rawManifest(repository, reference);
    if (found === null) return null;
    const { doing, digest, raw, contentType } = found;
    const parsed = parseManifest(doing, raw, contentType);
    if (parsed.kind === 'image') return { digest, manifest: parsed.manifest, raw };
    return await this.getManifest(repository, imageForPlatform(doing, parsed));
  }

  async headManifest(repository: string, reference: string): Promise<Digest | null> {
    const call = this.#manifest('looking for', 'HEAD', repository, reference, [200, 404]);
    const told = await this.#http.send(call, (answer) =>
      answer.status === 404 ? null : answer.header('docker-content-digest'),
    );
    // Registries need not tell a digest.
    if (told === undefined) return (await this.#rawManifest(repository, reference))?.digest ?? null;
    return told === null ? null : Digest.parse(told);
  }

  async putManifest(repository: string, raw: Buffer, mediaType: string, reference?: string): Promise<Digest> {
    const digest = digestOf(createHash('sha256').update(raw).digest('hex'));
    const call = this.#manifest('putting', 'PUT', repository, reference ?? digest, [200, 201, 202]);
    await this.#http.send(
      { ...call, headers: { 'content-type': mediaType }, body: raw },
      (answer) => void verify(call, answer.header('docker-content-digest') ?? digest, raw),
    );
    return digest;
  }

  async deleteManifest(repository: string, digest: Digest): Promise<void> {
    const call = this.#manifest('deleting', 'DELETE', repository, digest, [200, 202, 404, 405]);
    const scopes = [`repository:${repository}:pull,delete`];
    await this.#http.send({ ...call, scopes }, ({ status }) => {
      if (status === 405) throw new SlipwayError('PushFailed', `${call.doing}: the registry never deletes`);
    });
  }

  async listTags(repository: string): Promise<string[]> {
    const doing = `listing the tags of "${repository}"`;
    const scopes = [`repository:${repository}:pull`];
    return await this.#list(`/v2/${repository}/tags/list?n=1000`, { doing, repository, scopes }, 'tags');
  }

  async listRepositories(): Promise<string[]> {
    const scopes = ['registry:catalog:*'];
    const asking = { doing: 'listing the repositories', repository: null, scopes };
    return await this.#list('/v2/_catalog?n=1000', asking, 'repositories');
  }

  async #rawManifest(repository: string, reference: string) {
    const call = this.#manifest('reading', 'GET', repository, reference, [200, 404]);
    return await this.#http.send(call, async (answer) => {
      if (answer.status === 404) return null;
      const raw = await bounded(call, answer);
      const told = reference.startsWith('sha256:') ? reference : answer.header('docker-content-digest');
      const digest = verify(call, told, raw);
      return { doing: call.doing, digest, raw, contentType: answer.header('content-type') };
    });
  }

  /** Reads a list page by page. */
  async #list(
    first: string,
    asking: Pick<Call, 'doing' | 'repository' | 'scopes'>,
    field: 'tags' | 'repositories',
  ): Promise<string[]> {
    const names: string[] = [];
    for (let url: string | null = first; url !== null;) {
      const call: Call = { ...asking, method: 'GET', url, accept: [200, 404] };
      url = await this.#http.send(call, async (answer) => {
        if (answer.status === 404) return null;
        const page = JSON.parse((await bounded(call, answer)).toString()) as Record<string, string[] | null>;
        names.push(...(page[field] ?? []));
        const next = /<([^>]+)>;\s*rel="?next"?/.exec(answer.header('link') ?? '')?.[1];
        return next === undefined ? null : new URL(next, answer.url).href;
      });
    }
    return names;
  }

  #blob(
    verb: string,
    repository: string,
    digest: Digest,
    headers: Record<string, string>,
    accept: number[],
    signal: AbortSignal | undefined,
  ): Call {
    return {
      doing: `${verb} layer "${digest}" of "${repository}"`,
      method: 'GET',
      url: `/v2/${repository}/blobs/${digest}`,
      repository,
      scopes: [`repository:${repository}:pull`],
      headers,
      accept,
      signal,
    };
  }

  #manifest(
    verb: string,
    method: 'GET' | 'HEAD' | 'PUT' | 'DELETE',
    repository: string,
    reference: string,
    accept: number[],
  ): Call {
    return {
      doing: `${verb} manifest "${repository}${reference.includes(':') ? '@' : ':'}${reference}"`,
      method,
      url: `/v2/${repository}/manifests/${reference}`,
      repository,
      scopes: [`repository:${repository}:${method === 'PUT' ? 'pull,push' : 'pull'}`],
      headers: { accept: acceptedManifests },
      accept,
    };
  }
}

async function bounded(call: Call, answer: Answer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw new Error(`${call.doing}: it is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Throws when bytes are not those of the digest asked for: to be tried again, they may come out right. */
function verify({ doing }: Call, expected: string | undefined, bytes: Buffer): Digest {
  const digest = digestOf(createHash('sha256').update(bytes).digest('hex'));
  if (expected !== undefined && expected !== digest)
    throw new RegistryError(`${doing}: its bytes are "${digest}"`, 502, [], null);
  return digest;
}
