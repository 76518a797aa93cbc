import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type Docker from 'dockerode';
import { digestOf, hexOf, type Digest, type ImageRef } from '../../contract/names.js';
import type { Grant, Pinned } from '../../contract/pipeline.js';
import type { BuildConfig } from '../../contract/stack.js';
import { recipeNamed } from '../recipes/index.js';
import { manifestFile, parseSourceManifest } from '../recipes/manifest.js';
import { ensureBase, imageId, untag, type Credentials } from './build/base.js';
import { buildFailure } from './build/failure.js';
import { configFiles } from './build/config.js';
import { contextTar } from './build/context.js';
import { dockerfile, formatVersion } from './build/dockerfile.js';
import { BuildProgress } from './build/progress.js';
import { keyAnnotation, publishAsOci, pushFromEngine } from './build/push.js';
import { redactor, secretsOf } from './build/redact.js';
import { requirementsOf, type SourceFiles } from './build/requirements.js';
import { cancelBuild, runBuild } from './build/run.js';
import { pythonRuntime } from './build/runtime.js';
import type { BuildLog } from './build-log.js';
import type { Registry, Watch } from './index.js';
import { ociManifest } from './manifest.js';

export { secretsOf as buildSecrets } from './build/redact.js';

/** What a source image is made from; weights have no part in it. */
export type SourceInputs = Pick<Pinned, 'base' | 'source' | 'spec'>;

/**
 * Key of the source image's content: base, recipe, source (requirements and Python version included) and the
 * runtime. Equal keys mean the same image, built once.
 */
export function sourceImageKey({ base, source, spec }: SourceInputs): Digest {
  const content = {
    format: formatVersion,
    base: base.digest,
    model: source.model,
    recipe: [spec.recipe, recipeNamed(spec.recipe).version],
    load: spec.load ?? null,
    source: source.digest,
    runtime: pythonRuntime().digest,
  };
  return digestOf(createHash('sha256').update(JSON.stringify(content)).digest('hex'));
}

/** `source-` and 32 hex digits of the key. */
export const sourceTag = (key: Digest): string => `source-${hexOf(key).slice(0, 32)}`;

/** The source image of this key, when it is in the registry whole and as OCI; null otherwise. */
export async function findSourceImage(
  registry: Registry,
  repository: string,
  key: Digest,
): Promise<ImageRef | null> {
  const found = await registry.getManifest(repository, sourceTag(key));
  if (!found || found.manifest.mediaType !== ociManifest) return null;
  if (found.manifest.annotations?.[keyAnnotation] !== key) return null;
  const { config, layers } = found.manifest;
  const there = await Promise.all(
    [config, ...layers].map(({ digest }) => registry.hasBlob(repository, digest)),
  );
  return there.every(Boolean) ? { repository, digest: found.digest } : null;
}

/** Name that a build has on the engine while it goes on; one a grant, so that the journal can name it. */
export const temporaryTag = (stack: string, { service, token }: Pick<Grant, 'service' | 'token'>): string =>
  `slipway-build/${stack}:${service}.r${token}`;

export type BuildDeps = {
  docker: Docker;
  registry: Registry;
  /** `host:port` of the registry as the engine reaches it. */
  engineRegistry: string;
  credentials: Credentials;
  build: BuildConfig;
  log: BuildLog;
};

export type SourceBuild = SourceInputs & {
  repository: string;
  key: Digest;
  /** The source's files by path, as `sourcePaths` gives them, each a file on this machine. */
  files: SourceFiles;
  /** From {@link temporaryTag}; written into the journal before. */
  tag: string;
};

/**
 * Builds the source image and puts it into the registry as OCI, under {@link sourceTag}. On the engine nothing but
 * its build cache and the base image stays. Throws `BuildFailed` with the last words of the step that failed,
 * `PushFailed` when the registry refuses, `InvalidInput` for requirements that refer to what is not there.
 */
export async function buildSourceImage(
  deps: BuildDeps,
  wanted: SourceBuild,
  watch: Watch,
): Promise<ImageRef> {
  const { docker, registry, engineRegistry, credentials, log } = deps;
  const { repository, key, tag } = wanted;
  // An attempt that died after its push left an image that only has to be converted.
  const left = await publishAsOci(registry, repository, sourceTag(key), key);
  if (left && (await findSourceImage(registry, repository, key))) return left;
  await untag(docker, tag);
  try {
    await build(deps, wanted, watch);
    log.line('pushing the source image');
    const target = { registry: engineRegistry, repository, tag: sourceTag(key), credentials };
    await pushFromEngine(docker, tag, target, watch);
  } finally {
    await untag(docker, tag);
  }
  const image =
    (await publishAsOci(registry, repository, sourceTag(key), key)) ??
    // Two deployments of one source built at once; the other one's conversion deleted what both had pushed.
    (await findSourceImage(registry, repository, key));
  if (!image) throw new Error(`reading "${repository}:${sourceTag(key)}" after its push: it is not there`);
  log.line(`source image ${repository}@${image.digest}`);
  return image;
}

async function build(
  deps: BuildDeps,
  { base, source, spec, files, tag }: SourceBuild,
  watch: Watch,
): Promise<void> {
  const { docker, engineRegistry, credentials, build: config, log } = deps;
  const redact = redactor(secretsOf(config));
  const progress = new BuildProgress((line) => log.line(line), redact);
  const requirements = await requirementsOf(spec.recipe, files);
  const manifest = files.get(manifestFile);
  const { python } = parseSourceManifest(manifest === undefined ? '' : await readFile(manifest, 'utf8'));
  const local = await ensureBase(docker, base, engineRegistry, credentials, watch);
  const plan = { base: local, model: source.model, recipe: spec.recipe, load: spec.load };
  const context = contextTar({
    dockerfile: dockerfile({ ...plan, requirements: requirements !== null }),
    source: files,
    requirements,
    python,
    config: await configFiles(config),
  });
  try {
    await runBuild(docker, context, { tag, build: config }, progress, watch);
  } catch (error) {
    watch.signal.throwIfAborted();
    throw buildFailure(error, progress, redact);
  }
}

/**
 * Undo of a build: stops it where it still runs and removes its temporary tag, with the image that only it held.
 * What is gone is fine; a build that ended has removed it itself.
 */
export async function cleanupBuild(docker: Docker, tag: string): Promise<void> {
  await cancelBuild(docker, tag);
  const id = await imageId(docker, tag);
  if (id === null) return;
  // A worker killed while it pushed left the name it pushed under too.
  const { RepoTags } = await docker.getImage(id).inspect();
  for (const name of RepoTags ?? []) if (/:source-[0-9a-f]{32}$/.test(name)) await untag(docker, name);
  await untag(docker, tag);
}
