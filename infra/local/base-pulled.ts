import { finished } from 'node:stream/promises';
import type Docker from 'dockerode';
import type { ImageRef } from '../../contract/names.js';
import type { Registry } from '../../platform/images/index.js';
import { baseRepository } from './base-cache.js';
import type { Local } from './components/component.js';
import { connectEngine } from './engine.js';

const image = 'python';
const tag = '3.11-slim-bookworm';

/** Pulls Docker Hub's Python image with the engine and pushes it to the stack's registry. */
export async function pullBase(address: string, registry: Registry, local: Local): Promise<ImageRef> {
  const { report, ports, settings } = local;
  const docker = connectEngine(address);
  const { username, password } = settings.secrets.registry;
  const serveraddress = `127.0.0.1:${ports.registry}`;
  const repo = `${serveraddress}/${baseRepository}`;

  report.step('base', `pulling ${image}:${tag}`);
  await follow(docker, `pulling "${image}:${tag}"`, await docker.pull(`${image}:${tag}`), local);
  await docker.getImage(`${image}:${tag}`).tag({ repo, tag });
  report.step('base', 'pushing it to the registry');
  const pushing = await docker
    .getImage(`${repo}:${tag}`)
    .push({ tag, authconfig: { username, password, serveraddress } });
  await follow(docker, `pushing "${repo}:${tag}"`, pushing, local);

  const pushed = await registry.getManifest(baseRepository, tag);
  if (!pushed) throw new Error(`pushing "${repo}:${tag}": the registry does not have it afterwards`);
  return { repository: baseRepository, digest: pushed.digest };
}

/** Reads an engine's progress to its end. An `error` line is the only sign of a failure. */
async function follow(
  docker: Docker,
  doing: string,
  stream: NodeJS.ReadableStream,
  { report, signal }: Local,
): Promise<void> {
  const stop = (): void => {
    (stream as NodeJS.ReadableStream & { destroy(): void }).destroy();
  };
  signal.addEventListener('abort', stop, { once: true });
  let failure: string | undefined;
  try {
    docker.modem.followProgress(
      stream,
      () => undefined,
      (line: { error?: string; status?: string; id?: string; progress?: string }) => {
        failure ??= line.error;
        if (line.progress) report.detail('base', `${doing}: ${line.status} ${line.id}`);
      },
    );
    await finished(stream);
  } finally {
    signal.removeEventListener('abort', stop);
  }
  signal.throwIfAborted();
  if (failure !== undefined) throw new Error(`${doing}: ${failure}`);
}
