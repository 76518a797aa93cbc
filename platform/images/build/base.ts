import type Docker from 'dockerode';
import { hexOf, type ImageRef } from '../../../contract/names.js';
import type { Watch } from '../index.js';
import { engineLines } from './engine-stream.js';

export type Credentials = { username: string; password: string };

/**
 * Makes sure the engine holds the base image, pulled by digest, and answers the local name that a Dockerfile can
 * use: the engine's builder has no credentials of ours, so that it must not have to ask a registry.
 */
export async function ensureBase(
  docker: Docker,
  base: ImageRef,
  registry: string,
  credentials: Credentials,
  { onProgress, signal }: Watch,
): Promise<string> {
  const repo = 'slipway-base';
  const tag = hexOf(base.digest).slice(0, 12);
  const reference = `${registry}/${base.repository}@${base.digest}`;
  if (!(await imageId(docker, reference))) {
    onProgress({ message: 'pulling the base image' });
    const stream = await docker.createImage(
      { username: credentials.username, password: credentials.password, serveraddress: registry },
      { fromImage: `${registry}/${base.repository}`, tag: base.digest, abortSignal: signal },
    );
    for await (const { status } of engineLines(stream))
      onProgress({ message: `pulling the base image: ${status ?? ''}` });
  }
  await docker.getImage(reference).tag({ repo, tag });
  return `${repo}:${tag}`;
}

/** Id of a local image, or null. */
export async function imageId(docker: Docker, reference: string): Promise<string | null> {
  try {
    return (await docker.getImage(reference).inspect()).Id;
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return null;
    throw error;
  }
}

/** Removes a local name, and the image with its last one. What is gone is fine. */
export async function untag(docker: Docker, reference: string): Promise<void> {
  try {
    await docker.getImage(reference).remove({ force: true });
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode !== 404) throw error;
  }
}
