import type Docker from 'dockerode';
import type { Digest, ImageRef } from '../../../contract/names.js';
import { ociManifest, toOci } from '../manifest.js';
import type { Registry, Watch } from '../index.js';
import { untag, type Credentials } from './base.js';
import { engineLines } from './engine-stream.js';
import { pushFailure } from './failure.js';

/** Annotation that says which content a source image was made from. */
export const keyAnnotation = 'dev.slipway.source.key';

/** Pushes a local image through the engine, under a tag. The name it needs for that is gone afterwards. */
export async function pushFromEngine(
  docker: Docker,
  local: string,
  target: { registry: string; repository: string; tag: string; credentials: Credentials },
  { onProgress, signal }: Watch,
): Promise<void> {
  const { username, password } = target.credentials;
  const repo = `${target.registry}/${target.repository}`;
  const name = `${repo}:${target.tag}`;
  await docker.getImage(local).tag({ repo, tag: target.tag });
  let digest: string | undefined;
  try {
    const stream = await docker.getImage(repo).push({
      tag: target.tag,
      authconfig: { username, password, serveraddress: target.registry },
      abortSignal: signal,
    });
    const layers = new Map<string, string>();
    for await (const { id, status, aux } of engineLines(stream)) {
      digest = (aux as { Digest?: string } | undefined)?.Digest ?? digest;
      if (id !== undefined && status !== undefined) layers.set(id, status);
      const done = [...layers.values()].filter((it) => /^(?:Pushed|Layer already exists|Mounted)/.test(it));
      onProgress({
        message: 'pushing the source image',
        done: done.length,
        total: layers.size,
        unit: 'layers',
      });
    }
  } catch (error) {
    signal.throwIfAborted();
    throw pushFailure(error, name);
  } finally {
    await untag(docker, name);
    // Goes with the last tag, unless another build of the same had removed that already.
    if (digest !== undefined) await untag(docker, `${repo}@${digest}`);
  }
  signal.throwIfAborted();
}

/**
 * The image under a tag that an engine pushed, made OCI throughout under the same tag; the manifest that it replaces
 * is deleted. Null when nothing is there.
 */
export async function publishAsOci(
  registry: Registry,
  repository: string,
  tag: string,
  key: Digest,
): Promise<ImageRef | null> {
  const pushed = await registry.getManifest(repository, tag);
  if (!pushed) return null;
  const { mediaType, annotations } = pushed.manifest;
  // Somebody else, building the same, was sooner: to put it anew could delete what theirs rests on.
  if (mediaType === ociManifest && annotations?.[keyAnnotation] === key)
    return { repository, digest: pushed.digest };
  const manifest = toOci(pushed.manifest);
  const annotated = { ...manifest, annotations: { ...manifest.annotations, [keyAnnotation]: key } };
  const digest = await registry.putManifest(
    repository,
    Buffer.from(JSON.stringify(annotated)),
    ociManifest,
    tag,
  );
  if (digest !== pushed.digest) await registry.deleteManifest(repository, pushed.digest);
  return { repository, digest };
}
