import type { Readable } from 'node:stream';
import type { Digest, ImageRef } from '../../contract/names.js';
import type { OnProgress } from '../../contract/pipeline.js';

/** https://github.com/opencontainers/image-spec/blob/main/descriptor.md */
export type Descriptor = {
  mediaType: string;
  digest: Digest;
  size: number;
  annotations?: Record<string, string>;
};

/** https://github.com/opencontainers/image-spec/blob/main/manifest.md */
export type Manifest = {
  schemaVersion: 2;
  mediaType: string;
  config: Descriptor;
  layers: Descriptor[];
  annotations?: Record<string, string>;
};

/** A blob that can be opened at any byte: uploads resume from where the registry stands. */
export type BlobSource = {
  digest: Digest;
  size: number;
  open: (start: number) => Promise<Readable> | Readable;
};

export type Watch = { onProgress: OnProgress; signal: AbortSignal };

/**
 * A client of the OCI distribution API (https://github.com/opencontainers/distribution-spec/blob/main/spec.md)
 * with basic and bearer authentication; a bearer token that expires midway is fetched anew.
 */
export interface Registry {
  hasBlob(repository: string, digest: Digest, signal?: AbortSignal): Promise<boolean>;
  /** Bytes of a blob of which the first could be read, or null when there is none. */
  blobSize(repository: string, digest: Digest, signal?: AbortSignal): Promise<number | null>;
  /**
   * Uploads in chunks. A cut connection resumes at the byte the registry has; a session the registry forgot
   * restarts this blob only. Already there: nothing is sent. Answers the bytes sent.
   */
  putBlob(repository: string, blob: BlobSource, watch: Watch): Promise<number>;
  /** A blob's bytes, verified against its digest while read. */
  readBlob(repository: string, digest: Digest, signal?: AbortSignal): Promise<Buffer>;
  /** A blob's bytes from `start`, not verified: for copying to where they will be. */
  openBlob(repository: string, digest: Digest, start: number, signal?: AbortSignal): Promise<Readable>;
  /** Makes a blob of one repository available in another without moving it, where the registry can; false: not done. */
  mountBlob(repository: string, digest: Digest, from: string): Promise<boolean>;
  /**
   * The manifest under a tag or digest, with its own digest; null when there is none. Of a list of images it is
   * the one for this platform; throws `InvalidInput` when the list has none.
   */
  getManifest(
    repository: string,
    reference: string,
  ): Promise<{ digest: Digest; manifest: Manifest; raw: Buffer } | null>;
  /** The digest a tag stands for, or whether a digest is there; null when there is none. */
  headManifest(repository: string, reference: string): Promise<Digest | null>;
  /** Puts a manifest by digest or under a tag; answers its digest. */
  putManifest(repository: string, raw: Buffer, mediaType: string, reference?: string): Promise<Digest>;
  /** Deletes a manifest, and with it every tag of it. What is gone is fine. */
  deleteManifest(repository: string, digest: Digest): Promise<void>;
  listTags(repository: string): Promise<string[]>;
  listRepositories(): Promise<string[]>;
}

/** One image made from another: weights appended, nothing rebuilt. */
export type AppendResult = {
  image: ImageRef;
  layers: number;
  /** Layers and bytes that had to be sent. */
  sent: { layers: number; bytes: number };
};
