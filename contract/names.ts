import { z } from 'zod';

/** A model or service name. Where a system forbids `_` (Kubernetes) an adapter maps it. */
export const Name = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9_-]{0,61}[a-z0-9]$/,
    'must be 2 to 63 characters of a-z, 0-9, "-" and "_", starting and ending with a letter or digit',
  );

/** Content digest in the OCI form, `sha256:` and 64 hex digits. https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests */
export const Digest = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, 'must be "sha256:" and 64 hex digits')
  .brand<'Digest'>();
export type Digest = z.infer<typeof Digest>;

/** The hex part of a digest, for paths and short names. */
export const hexOf = (digest: Digest): string => digest.slice('sha256:'.length);

/** Builds a digest from 64 hex digits. */
export const digestOf = (hex: string): Digest => Digest.parse(`sha256:${hex}`);

/** A calendar date `YYYYMMDD` that exists: 20240230 is refused. */
export const WeightsDate = z
  .string()
  .regex(/^\d{8}$/, 'must be a date as YYYYMMDD')
  .refine(isRealDate, 'is not a date that exists (YYYYMMDD)');

function isRealDate(text: string): boolean {
  const year = Number(text.slice(0, 4));
  const month = Number(text.slice(4, 6));
  const day = Number(text.slice(6, 8));
  const date = new Date(Date.UTC(year, month - 1, day));
  return (
    year >= 1970 &&
    date.getUTCFullYear() === year &&
    date.getUTCMonth() === month - 1 &&
    date.getUTCDate() === day
  );
}

/** An image without a host: each target adds the registry address it can reach. */
export const ImageRef = z.object({
  repository: z.string().regex(/^[a-z0-9]+(?:[._/-][a-z0-9]+)*$/),
  digest: Digest,
});
export type ImageRef = z.infer<typeof ImageRef>;

/** `<service>.r<token>`; the `.` cannot occur in a service name, so two services never share one. */
export const ReleaseId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,61}[a-z0-9]\.r[1-9]\d*$/, 'must look like "iris.r7"');
export type ReleaseId = z.infer<typeof ReleaseId>;

/** The release that the holder of fencing token `token` makes. */
export const releaseId = (service: string, token: number): ReleaseId => `${service}.r${token}`;
