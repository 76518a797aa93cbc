import { z } from 'zod';
import { Recipe, TargetKind } from './deploy.js';
import { Digest, ReleaseId } from './names.js';

const Artifact = z.object({
  name: z.string(),
  digest: Digest,
  files: z.number().int(),
  /** Unpacked bytes. */
  bytes: z.number().int(),
  /** Bytes still to be read from storage. */
  download: z.number().int(),
});

/** What a deployment would do, found out without changing anything. */
export const Plan = z.object({
  model: z.string(),
  service: z.string(),
  source: Artifact,
  weights: Artifact,
  recipe: Recipe,
  recipeReason: z.string(),
  build: z.object({ needed: z.boolean(), reason: z.string() }),
  push: z.object({
    layers: z.number().int(),
    missing: z.number().int(),
    /** Bytes to move to the registry; without those of a source image that is yet to be built. */
    bytes: z.number().int(),
  }),
  rollout: z.object({
    target: TargetKind,
    /** How the new release takes over. */
    strategy: z.string(),
    replicas: z.number().int(),
    /** Old and new replicas that there may be at once. */
    atMost: z.number().int(),
    /** Docker: nodes. Kubernetes: the namespace. */
    nodes: z.array(z.string()),
    /** Live release whose containers would be drained. */
    replaces: ReleaseId.nullable(),
  }),
  verify: z.object({
    samples: z.number().int(),
    /** Longest a replica may take to be ready. */
    startupBudget: z.string(),
  }),
  warnings: z.array(z.string()),
});
export type Plan = z.infer<typeof Plan>;
