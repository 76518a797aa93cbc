import { z } from 'zod';
import { Digest } from '../../contract/names.js';

/** One file of an archive. */
export const IndexedFile = z.object({
  /** Relative, `/`-separated, normalised, no `..`. */
  path: z.string(),
  /** Unpacked bytes. */
  size: z.number().int().nonnegative(),
  sha256: Digest,
  /** Where its packed bytes lie in the archive, so that it can be read alone with a ranged read. */
  offset: z.number().int().nonnegative(),
  packed: z.number().int().nonnegative(),
  method: z.enum(['stored', 'deflated']),
});
export type IndexedFile = z.infer<typeof IndexedFile>;

/** A layer that the files of a weights archive become; see `platform/images/layers.ts`. */
export const IndexedLayer = z.object({
  digest: Digest,
  /** Bytes of the uncompressed tar. */
  size: z.number().int().positive(),
  /** Paths inside, sorted. */
  files: z.array(z.string()),
});
export type IndexedLayer = z.infer<typeof IndexedLayer>;

/** Kept in storage beside every artifact version; makes "what changed" a comparison. */
export const ArtifactIndex = z.object({
  /** Format of this document and of the layers it names; another number means: index again. */
  format: z.literal(1),
  /** Digest of the content; see `contentDigest`. */
  digest: Digest,
  /** sha256 of the whole archive, where the uploader told it. */
  archive: Digest.optional(),
  files: z.array(IndexedFile),
  /** Weights only. */
  layers: z.array(IndexedLayer),
});
export type ArtifactIndex = z.infer<typeof ArtifactIndex>;
