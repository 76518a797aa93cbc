import type { ServeSpec, SourceManifest } from '../../contract/deploy.js';

/** What a recipe judges by: paths under the source's root and in the weights, and `slipway.yaml`. */
export type Found = {
  source: readonly string[];
  weights: readonly string[];
  manifest: SourceManifest;
};

/**
 * How source and weights become an image: one implementation a file, listed in `index.ts`.
 * The server side of a recipe is its loader in `runtimes/python/slipway_runtime/loaders/`.
 */
export interface Recipe {
  readonly name: ServeSpec['recipe'];
  /** Part of the source image's key: grows when the same files become a different image. */
  readonly version: number;
  /** What speaks for this recipe, as text for people; null when nothing does. */
  evidence(found: Found): string | null;
  /** What is missing for this recipe to work, as text for people; null when nothing is. */
  problem(found: Found): string | null;
  /** The weights file that its loader reads although it runs the code it holds; null when it reads none such. */
  pickle(found: Pick<Found, 'weights' | 'manifest'>): string | null;
  /** List in `runtimes/python/` that is installed when the source has no `requirements.txt`. */
  readonly requirements: string | null;
}
