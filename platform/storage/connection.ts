import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Readable } from 'node:stream';
import { Client, S3Error } from 'minio';
import pRetry, { AbortError } from 'p-retry';
import { Agent, request } from 'undici';
import { messageOf, Refused } from '../../contract/errors.js';
import type { Stack } from '../../contract/stack.js';

export type S3Config = Stack['s3'];

/** `minio`'s client, with the part listing that it keeps to itself. */
class S3Client extends Client {
  async parts(bucket: string, key: string, uploadId: string) {
    return await this.listParts(bucket, key, uploadId);
  }
}

export type S3 = { client: S3Client; bucket: string };

const connections = new WeakMap<S3Config, S3>();

/** The connection that belongs to a configuration; its sockets are shared by all who use it. */
export function connectS3(config: S3Config): S3 {
  const known = connections.get(config);
  if (known) return known;
  const url = new URL(config.endpoint);
  const secure = url.protocol === 'https:';
  const client = new S3Client({
    endPoint: url.hostname.replace(/^\[|\]$/g, ''),
    ...(url.port === '' ? {} : { port: Number(url.port) }),
    useSSL: secure,
    accessKey: config.accessKey,
    secretKey: config.secretKey,
    // Streams of unknown size are buffered by the part.
    partSize: 8 * 2 ** 20,
    transportAgent: new (secure ? HttpsAgent : HttpAgent)({ keepAlive: true }),
    // Its own retries write to the console.
    retryOptions: { disableRetry: true },
  });
  const made = { client, bucket: config.bucket };
  connections.set(config, made);
  return made;
}

/**
 * Makes the bucket where it is missing and lets it keep versions: that is what pins the bytes a deployment reads.
 * Idempotent. Throws `Refused` where the key may not; every error names the bucket and the server.
 */
export async function ensureBucket(config: S3Config, signal?: AbortSignal): Promise<void> {
  const { client, bucket } = connectS3(config);
  const tried = async <T>(doing: string, call: () => Promise<T>): Promise<T> => {
    const described = `${doing} bucket "${bucket}" at ${config.endpoint}`;
    try {
      return await attempt(described, call, signal);
    } catch (cause) {
      throw isFinal(cause)
        ? new Refused('InvalidInput', `${described}: ${messageOf(cause)}`, {}, { cause })
        : cause;
    }
  };
  if (!(await tried('looking for', () => client.bucketExists(bucket))))
    await tried('making', () =>
      client.makeBucket(bucket).catch((error: unknown) => {
        if (codeOf(error) !== 'BucketAlreadyOwnedByYou') throw error;
      }),
    );
  const { Status: status } = await tried('asking about versions of', () =>
    client.getBucketVersioning(bucket),
  );
  if (status !== 'Enabled')
    await tried('enabling versions of', () => client.setBucketVersioning(bucket, { Status: 'Enabled' }));
}

const dispatcher = new Agent({
  connect: { timeout: 10_000 },
  headersTimeout: 60_000,
  bodyTimeout: 60_000,
});

/**
 * Sends one request that `minio` has no call for (conditional reads of a version, parts as streams), as a
 * presigned URL, which never appears in an error: it is a credential.
 */
export async function send(
  { client, bucket }: S3,
  method: 'GET' | 'PUT',
  key: string,
  query: Record<string, string>,
  {
    headers,
    body,
    signal,
  }: { headers: Record<string, string>; body?: Readable; signal?: AbortSignal | undefined },
) {
  // Signing may have to ask for the bucket's region first.
  const url = await within(callTimeoutMs, client.presignedUrl(method, bucket, key, 3600, query), signal);
  return await request(url, {
    method,
    headers,
    dispatcher,
    ...(body ? { body } : {}),
    ...(signal ? { signal } : {}),
  });
}

/** Longest a call without a stream may take; a server that hangs is a fault like any other. */
const callTimeoutMs = 60_000;

/**
 * Runs an idempotent call, again for a few seconds while the fault may pass: a refused or cut connection, a
 * timeout, 429 and 5xx.
 */
export async function attempt<T>(doing: string, call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await pRetry(
      async () => {
        try {
          return await within(callTimeoutMs, call(), signal);
        } catch (error) {
          throw isFinal(error) ? new AbortError(error as Error) : error;
        }
      },
      { ...retries, ...(signal ? { signal } : {}) },
    );
  } catch (cause) {
    signal?.throwIfAborted();
    if (isFinal(cause)) throw cause;
    throw new Error(doing, { cause });
  }
}

/** Pauses of 0.2 to 3 s, about 9 s in all: longer outages are the caller's to wait for. */
export const retries = { retries: 6, minTimeout: 200, maxTimeout: 3000, factor: 2, randomize: true };

/** S3 error codes that say "later", not "no". */
const passing = new Set([
  'SlowDown',
  'SlowDownRead',
  'SlowDownWrite',
  'ServiceUnavailable',
  'InternalError',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'OperationAborted',
  'XMinioServerNotInitialized',
]);

/** Has the server understood and said no? Answers without a code of S3 are those of proxies and failing servers: 507, 52x. */
const isFinal = (error: unknown): boolean =>
  error instanceof S3Error && codeOf(error) !== '' && !passing.has(codeOf(error));

/** `NoSuchKey` and the like; empty when it is not an answer of S3. */
export const codeOf = (error: unknown): string => (error instanceof S3Error ? (error.code ?? '') : '');

/** Is what was asked for not there? */
export const isMissing = (error: unknown): boolean =>
  ['NoSuchKey', 'NoSuchVersion', 'NotFound', 'NoSuchUpload'].includes(codeOf(error));

/** S3 calls the one version of an object that has none `null`; such an object is pinned by its ETag. */
export const pin = (versionId: string | null | undefined): { versionId?: string } =>
  versionId && versionId !== 'null' ? { versionId } : {};

/** Listings know milliseconds, other answers only seconds; one version has one time. */
export const modified = (date: Date): string =>
  new Date(Math.floor(date.getTime() / 1000) * 1000).toISOString();

async function within<T>(ms: number, work: Promise<T>, signal?: AbortSignal): Promise<T> {
  const limit = AbortSignal.any([AbortSignal.timeout(ms), ...(signal ? [signal] : [])]);
  return await new Promise<T>((resolve, reject) => {
    limit.addEventListener('abort', () => reject(limit.reason as Error), { once: true });
    work.then(resolve, reject);
  });
}
