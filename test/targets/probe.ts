import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import Docker from 'dockerode';
import { pack } from 'tar-stream';
import { ImageRef } from '../../contract/names.js';
import type { Stack } from '../../contract/stack.js';
import { engineOptions } from '../../platform/targets/engine.js';

/** How a probe misbehaves; see `probe.py`. */
export type Behaviour = { env?: Record<string, string>; user?: string };

/** Where probes are pushed: outside the names that Slipway gives its own images. */
const repository = 'probe/serving';

/**
 * Builds an image that obeys the serving contract and behaves as told, pushes it to the stack's registry and
 * answers its name. The engine is left without a copy, so that a target has to pull it.
 */
export async function probeImage(stack: Stack, { env = {}, user }: Behaviour = {}): Promise<ImageRef> {
  const docker = new Docker(engineOptions(stack.docker));
  const host = new URL(stack.registry.url).host;
  const auth = { username: stack.registry.username, password: stack.registry.password };
  const dockerfile = [
    `FROM ${host}/${stack.base.repository}@${stack.base.digest}`,
    'COPY probe.py /probe.py',
    ...Object.entries(env).map(([key, value]) => `ENV ${key}=${JSON.stringify(value)}`),
    ...(user === undefined ? [] : [`USER ${user}`]),
    'CMD ["python3", "/probe.py"]',
  ];
  const context = pack();
  context.entry({ name: 'Dockerfile' }, dockerfile.join('\n'));
  context.entry({ name: 'probe.py' }, await readFile(resolve('test/targets/probe.py')));
  context.finalize();
  const tag = `t${Date.now()}-${Math.random().toString(36).slice(2)}`;
  const name = `${host}/${repository}:${tag}`;
  const build = await docker.buildImage(Readable.from(context), {
    t: name,
    registryconfig: { [host]: auth },
    forcerm: true,
  });
  await eventsOf(build);
  const push = await docker
    .getImage(`${host}/${repository}`)
    .push({ tag, authconfig: { ...auth, serveraddress: host } });
  const digest = (await eventsOf(push)).flatMap(({ aux }) => aux?.Digest ?? []).at(-1);
  await docker.getImage(name).remove();
  const image = ImageRef.parse({ repository, digest });
  await docker
    .getImage(`${host}/${repository}@${image.digest}`)
    .remove()
    .catch(() => undefined);
  return image;
}

type Event = { error?: string; aux?: { Digest?: string } };

async function eventsOf(stream: NodeJS.ReadableStream): Promise<Event[]> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  const events = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Event);
  for (const { error } of events) if (error !== undefined) throw new Error(error);
  return events;
}
