import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { execa } from 'execa';
import { Digest } from '../contract/names.js';
import type { Stack } from '../contract/stack.js';
import { withdraw } from '../platform/images/publish.js';
import { createRegistry } from '../platform/images/registry.js';
import { engineOptions } from '../platform/targets/engine.js';

/** What one does without Slipway: `docker build` with the weights in it, `docker push`. */
export async function dockerWay(stack: Stack, registryHost: string, model: string, context: string) {
  const config = await mkdtemp(join(tmpdir(), 'slipway-bench-docker-'));
  const { username, password } = stack.registry;
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  const auths = { [registryHost]: { auth } };
  await writeFile(join(config, 'config.json'), JSON.stringify({ auths }), { mode: 0o600 });
  const repository = `slipway/${model}-docker`;
  const name = `${registryHost}/${repository}:latest`;
  // From the same host, so that its layers are mounted and not pushed again.
  const base = `${registryHost}/${stack.base.repository}@${stack.base.digest}`;
  await writeFile(join(context, 'Dockerfile'), `FROM ${base}\nCOPY weights/ /app/model/\n`);
  const { command, builder } = await bestBuilder();
  const docker = async (args: string[]) =>
    (
      await execa(command, ['--config', config, '-H', stack.docker, ...args], {
        env: { DOCKER_BUILDKIT: builder === 'BuildKit' ? '1' : '0' },
      })
    ).stdout;
  await docker(['pull', '--quiet', base]);
  const engine = new Docker(engineOptions(stack.docker));
  const cached = await cacheIds(engine);
  const digests = new Set<string>();
  const images = new Set<string>();

  return {
    /** `BuildKit`, or the legacy builder where the CLI has nothing newer. */
    builder,
    buildAndPush: async (): Promise<void> => {
      images.add(await docker(['build', '--quiet', '-t', name, context]));
      const pushed = await docker(['push', name]);
      digests.add(/digest: (sha256:[0-9a-f]{64})/.exec(pushed)?.[1] ?? '');
    },
    clean: async (): Promise<void> => {
      await docker(['rmi', '--force', ...images]);
      await docker(['rmi', base]);
      for (const id of await cacheIds(engine))
        if (!cached.has(id)) await docker(['builder', 'prune', '--force', '--filter', `id=${id}`]);
      const registry = createRegistry({ url: `http://${registryHost}`, username, password });
      for (const digest of digests) {
        const parsed = Digest.safeParse(digest);
        if (parsed.success) await withdraw(registry, { repository, digest: parsed.data });
      }
      await rm(config, { recursive: true, force: true });
    },
  };
}

/** Newer CLIs need a plugin for BuildKit, which may not be there; an older one beside them may still have it. */
async function bestBuilder(): Promise<{ command: string; builder: 'BuildKit' | 'legacy builder' }> {
  for (const command of ['docker', '/usr/bin/docker']) {
    const { stdout, failed } = await execa(command, ['--version'], { reject: false });
    if (failed) continue;
    const major = Number(/version (\d+)\./.exec(stdout)?.[1]);
    const plugin = await execa(command, ['buildx', 'version'], { reject: false });
    if (major < 23 || !plugin.failed) return { command, builder: 'BuildKit' };
  }
  return { command: 'docker', builder: 'legacy builder' };
}

/** What the build cache holds, so that only what was added is removed. */
async function cacheIds(engine: Docker): Promise<Set<string>> {
  const { BuildCache } = (await engine.df()) as { BuildCache?: { ID: string }[] | null };
  return new Set((BuildCache ?? []).map(({ ID }) => ID));
}
