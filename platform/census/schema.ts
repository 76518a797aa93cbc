import { z } from 'zod';

export const censusKinds = [
  'node',
  'container',
  'cluster',
  'deployment',
  'object',
  'image',
  'tag',
  'upload',
  'effect',
  'route',
  'release',
] as const;

/** One thing that exists, and what it is there for. */
export const CensusItem = z.object({
  kind: z.enum(censusKinds),
  name: z.string(),
  accounted: z.boolean(),
  /** What it belongs to; for what nothing accounts for, why it should not be (so). */
  reason: z.string(),
});
export type CensusItem = z.infer<typeof CensusItem>;

/** Everything of an installation, counted. */
export const Census = z.object({
  stack: z.string(),
  at: z.iso.datetime(),
  items: z.array(CensusItem),
  /** Those of `items` that nothing accounts for. */
  unaccounted: z.array(z.object({ kind: z.enum(censusKinds), name: z.string(), why: z.string() })),
});
export type Census = z.infer<typeof Census>;
