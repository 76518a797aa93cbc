import type { DeployInput } from '../contract/deploy.js';
import { SlipwayError } from '../contract/errors.js';
import type { OnProgress, Pinned, PinnedArtifact } from '../contract/pipeline.js';
import { ensureFiles, readIndex, resolveArtifact } from './archive/artifacts.js';
import type { ArtifactIndex } from './archive/index.js';
import { readFile } from 'node:fs/promises';
import type { Platform } from './open.js';
import { detectRecipe, parseSourceManifest, resolveSpec } from './recipes/index.js';
import { sourcePaths } from './recipes/layout.js';

type Watch = { onProgress: OnProgress; signal: AbortSignal };
/** A manifest is read into memory and its samples travel through Temporal. */
const maxManifestBytes = 256 * 1024;

/**
 * Fixes everything a deployment reads: source and weights versions, base image, recipe, what replicas run with.
 * Changes nothing but the cache and missing indexes. Throws `NotFound` and `InvalidInput` naming what is wrong.
 */
export async function pinDeployment(
  platform: Platform,
  input: DeployInput & { service: string },
  watch: Watch,
): Promise<Pinned> {
  const { storage, cache, stack, catalog } = platform;
  const deps = { storage, cache, limits: stack.archives };
  const source = await resolveArtifact(deps, { model: input.model, kind: 'source', name: 'latest' }, watch);
  const weights = await resolveArtifact(
    deps,
    { model: input.model, kind: 'weights', name: input.weights },
    watch,
  );
  const sourceIndex = await readIndex(storage, source);
  const weightsIndex = await readIndex(storage, weights);
  const manifest = parseSourceManifest(await readManifest(platform, source, sourceIndex, watch));
  const weightsFiles = weightsIndex.files.map(({ path }) => path);
  const { recipe, reason } = detectRecipe(
    [...sourcePaths(sourceIndex).keys()],
    weightsFiles,
    input.recipe && input.recipe !== 'auto' ? { ...manifest, recipe: input.recipe } : manifest,
  );
  const service = await catalog.getService(input.service);
  const live = service?.live ? await catalog.getRelease(service.live) : null;
  return {
    source,
    weights,
    base: stack.base,
    spec: resolveSpec(input, manifest, recipe, weightsIndex.files),
    recipeReason: reason,
    live: live && { id: live.id, sourceDigest: live.source.digest, image: live.image },
  };
}

async function readManifest(
  { storage, cache, stack }: Platform,
  source: PinnedArtifact,
  index: ArtifactIndex,
  watch: Watch,
): Promise<string> {
  const file = sourcePaths(index).get('slipway.yaml');
  if (!file) return '';
  if (file.size > maxManifestBytes)
    throw new SlipwayError(
      'InvalidInput',
      `reading "slipway.yaml" of "${source.object.key}": ${file.size} bytes are more than the ${maxManifestBytes} allowed`,
    );
  await ensureFiles({ storage, cache, limits: stack.archives }, source, index, [file.path], watch);
  return await readFile(cache.pathOf(file.sha256), 'utf8');
}
