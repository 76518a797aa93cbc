import type { BlobSource, Watch } from './index.js';
import { RegistryError, SourceReadError } from './registry-errors.js';
import { discard, retrying, type Answer, type Call, type RegistryHttp } from './registry-http.js';

/** Below what proxies in front of registries allow for one request (100 MB), above what costs round trips. */
const chunkBytes = 32 * 2 ** 20;
/** A blob whose uploads the registry forgets that often is left to a later attempt. */
const maxSessions = 8;

/** An upload the registry has opened: where it goes on, and how far it is. */
type Session = { location: URL; offset: number; sure: boolean };

type Upload = {
  http: RegistryHttp;
  repository: string;
  blob: BlobSource;
  watch: Watch;
  has: () => Promise<boolean>;
};

/**
 * Uploads one blob in chunks. After a cut the registry is asked how far it is, and the rest is sent; a session it
 * has forgotten is begun again, for this blob only. Answers the bytes sent. Throws `PushFailed` when refused.
 * https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-a-blob-in-chunks
 */
export async function uploadBlob(upload: Upload): Promise<number> {
  const sending = new BlobUpload(upload);
  try {
    await retrying(() => sending.attempt(), {
      signal: upload.watch.signal,
      // Only tries without progress count: a long upload over a bad line gets there in the end.
      shouldConsumeRetry: () => !sending.progressed(),
    });
  } catch (error) {
    await sending.abandon();
    throw error;
  }
  return sending.sent;
}

class BlobUpload {
  /** Bytes handed to the network, those that had to be sent again included. */
  sent = 0;
  #session: Session | null = null;
  #sessions = 0;
  #whole = false;
  #digestRefused = 0;
  #reported = 0;
  #furthest = 0;
  #progressed = false;
  readonly #doing: string;

  constructor(private readonly upload: Upload) {
    this.#doing = `uploading layer "${upload.blob.digest}" to "${upload.repository}"`;
  }

  /** Whether more has arrived since this was last asked. */
  progressed(): boolean {
    const progressed = this.#progressed;
    this.#progressed = false;
    return progressed;
  }

  /** One go at what is left to do; throws what stopped it. */
  async attempt(): Promise<void> {
    try {
      const session = (await this.#resumed()) ?? (await this.#begun());
      if (session === null) return;
      const { size } = this.upload.blob;
      while (!this.#whole && size - session.offset > chunkBytes) await this.#sendChunk(session);
      await this.#finish(session);
    } catch (error) {
      if (!(error instanceof RegistryError) || error.passing || this.#session === null) throw error;
      if (!this.#beginAgain(error)) throw error;
      if (error.status !== 416) await this.abandon();
      if (this.#sessions >= maxSessions) throw error;
      return await this.attempt();
    }
  }

  /** Whether sending the blob once more, in another way where need be, may end better. */
  #beginAgain(error: RegistryError): boolean {
    if (refusesChunks(error) && !this.#whole) return (this.#whole = true);
    // Once: chunks may have been joined wrongly after a cut, but the source itself may be wrong too.
    if (error.codes.includes('DIGEST_INVALID')) return this.#digestRefused++ === 0;
    return error.status === 416 || error.sessionLost;
  }

  /** Tells the registry to forget what was sent. Registries do so by themselves in time, so a refusal is no fault. */
  async abandon(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    if (session === null) return;
    const signal = AbortSignal.timeout(5_000);
    await this.upload.http
      .exchange({ ...this.#call('DELETE', session.location, [202, 204, 404]), signal })
      .then(discard)
      .catch(() => undefined);
  }

  /** The session of an earlier try, with the offset the registry tells; null when it is of no use any more. */
  async #resumed(): Promise<Session | null> {
    const session = this.#session;
    if (session === null || session.sure) return session;
    const status = await this.upload.http
      .exchange(this.#call('GET', session.location, [200, 204]))
      .catch((error: unknown) => {
        if (error instanceof RegistryError && !error.passing) return null;
        throw error;
      });
    if (status === null) {
      await this.abandon();
      return null;
    }
    await discard(status);
    const end = rangeEnd(status);
    // "0-0" is what some registries say of one byte and others of none.
    if (end === null || end === 0 || end >= this.upload.blob.size) {
      await this.abandon();
      return null;
    }
    this.#moved(session, status, end + 1);
    return session;
  }

  /** A new session; null when the blob is there: its last reply had been lost. */
  async #begun(): Promise<Session | null> {
    if (await this.upload.has()) return null;
    this.#sessions++;
    const path = `/v2/${this.upload.repository}/blobs/uploads/`;
    const answer = await this.upload.http.exchange({
      ...this.#call('POST', path, [202]),
      headers: { 'content-length': '0' },
    });
    await discard(answer);
    this.#session = { location: this.#locationOf(answer), offset: 0, sure: true };
    return this.#session;
  }

  async #sendChunk(session: Session): Promise<void> {
    const { offset } = session;
    const end = Math.min(offset + chunkBytes, this.upload.blob.size);
    session.sure = false;
    const answer = await this.upload.http.exchange({
      ...this.#call('PATCH', session.location, [201, 202, 204]),
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String(end - offset),
        'content-range': `${offset}-${end - 1}`,
      },
      body: () => this.#bytes(offset, end),
    });
    await discard(answer);
    // A registry may have taken less than it was given.
    const taken = rangeEnd(answer);
    this.#moved(session, answer, taken === null || taken === 0 ? end : taken + 1);
  }

  /** The last chunk comes with the request that ends the upload: a small blob takes no more than that. */
  async #finish(session: Session): Promise<void> {
    const { blob } = this.upload;
    const { offset } = session;
    const url = new URL(session.location);
    url.searchParams.set('digest', blob.digest);
    session.sure = false;
    const answer = await this.upload.http.exchange({
      ...this.#call('PUT', url, [201, 204]),
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String(blob.size - offset),
        ...(offset > 0 && offset < blob.size ? { 'content-range': `${offset}-${blob.size - 1}` } : {}),
      },
      ...(offset < blob.size ? { body: () => this.#bytes(offset, blob.size) } : {}),
    });
    await discard(answer);
    this.#session = null;
  }

  async *#bytes(start: number, end: number): AsyncGenerator<Uint8Array> {
    const { blob } = this.upload;
    let at = start;
    for await (const chunk of this.#read(start)) {
      const part = chunk.subarray(0, end - at);
      at += part.length;
      this.sent += part.length;
      yield part;
      this.#report(at);
      if (at === end) return;
    }
    throw new SourceReadError(`${this.#doing}: its source ended at byte ${at} of ${blob.size}`);
  }

  /** A few times a second: each report may become a message to another server. */
  #report(done: number): void {
    const now = Date.now();
    if (now - this.#reported < 250) return;
    this.#reported = now;
    const { blob, watch } = this.upload;
    watch.onProgress({ message: this.#doing, done, total: blob.size, unit: 'bytes' });
  }

  async *#read(start: number): AsyncGenerator<Uint8Array> {
    try {
      yield* (await this.upload.blob.open(start)) as AsyncIterable<Uint8Array>;
    } catch (cause) {
      throw new SourceReadError(`${this.#doing}: reading it from byte ${start}`, { cause });
    }
  }

  #moved(session: Session, answer: Answer, offset: number): void {
    if (answer.header('location') !== undefined) session.location = this.#locationOf(answer);
    session.offset = offset;
    session.sure = true;
    if (offset > this.#furthest) {
      this.#furthest = offset;
      this.#progressed = true;
    }
  }

  #locationOf(answer: Answer): URL {
    const location = answer.header('location');
    if (location === undefined) throw new Error(`${this.#doing}: the registry does not say where`);
    return this.upload.http.sameOrigin(new URL(location, answer.url));
  }

  #call(method: Call['method'], url: string | URL, accept: readonly number[]): Call {
    const { repository, watch } = this.upload;
    const scopes = [`repository:${repository}:pull,push`];
    return { doing: this.#doing, method, url, repository, scopes, accept, signal: watch.signal };
  }
}

const refusesChunks = ({ status, codes }: RegistryError): boolean =>
  status === 405 || status === 411 || status === 413 || codes.includes('UNSUPPORTED');

/** Last byte of `Range: 0-1023`, with or without a unit in front. */
function rangeEnd(answer: Answer): number | null {
  const end = /^(?:bytes=)?0-(\d+)$/.exec(answer.header('range') ?? '')?.[1];
  return end === undefined ? null : Number(end);
}
