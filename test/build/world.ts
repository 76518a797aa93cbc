import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get, request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestContext } from 'node:test';
import Docker from 'dockerode';
import { parseDeployInput, type ServeSpec } from '../../contract/deploy.js';
import { digestOf, type ImageRef } from '../../contract/names.js';
import type { Progress } from '../../contract/pipeline.js';
import type { BuildConfig, Stack } from '../../contract/stack.js';
import { untag } from '../../platform/images/build/base.js';
import type { Watch } from '../../platform/images/index.js';
import { engineLines } from '../../platform/images/build/engine-stream.js';
import { createRegistry } from '../../platform/images/registry.js';
import { buildSourceImage, sourceImageKey, temporaryTag } from '../../platform/images/source-image.js';
import { detectRecipe, parseSourceManifest, resolveSpec } from '../../platform/recipes/index.js';
import { testStack } from '../support/stack.js';
import { engineOptions } from '../../platform/targets/engine.js';

/** What a test builds: the text of a source's files, and what makes it differ from the ordinary. */
export type Wanted = {
  files: Record<string, string | Buffer>;
  weights?: string[];
  build?: Partial<BuildConfig>;
  signal?: AbortSignal;
  onProgress?: (progress: Progress) => void;
  /** Service that is deployed, where it is not named after the model. */
  service?: string;
  credentials?: { username: string; password: string };
  /** Same model, same key: leave out for one of its own. */
  model?: string;
};

/** The running stack's engine and registry, and builds on them whose traces go when the test ends. */
export class BuildWorld {
  readonly lines: string[] = [];
  readonly docker: Docker;

  private constructor(
    readonly stack: Stack,
    private readonly folder: string,
  ) {
    this.docker = new Docker(engineOptions(stack.docker));
  }

  /** On the test run's stack, or with another engine or registry in its place. */
  static async open(t: Pick<TestContext, 'after'>, change: Partial<Stack> = {}): Promise<BuildWorld> {
    const shared = await testStack();
    // By another name: the stack's census is not to wonder what builds of nobody have on the engine.
    const stack = { ...shared, name: `builds-of-${shared.name}`, ...change };
    const folder = await mkdtemp(join(tmpdir(), 'slipway-build-test-'));
    const world = new BuildWorld(stack, folder);
    t.after(() => rm(folder, { recursive: true, force: true }));
    return world;
  }

  get registry() {
    return createRegistry(this.stack.registry);
  }

  /** Prepares a build as the activity does: what it is made from, its key, and a function that does it. */
  async prepare(wanted: Wanted) {
    const model = wanted.model ?? `build-${randomBytes(5).toString('hex')}`;
    const files = new Map<string, string>();
    const hash = createHash('sha256');
    const root = await mkdtemp(join(this.folder, 'source-'));
    for (const path of Object.keys(wanted.files).sort()) {
      const file = join(root, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, wanted.files[path]!);
      hash.update(path).update(wanted.files[path]!);
      files.set(path, file);
    }
    const manifest = parseSourceManifest(String(wanted.files['slipway.yaml'] ?? ''));
    const { recipe } = detectRecipe([...files.keys()], wanted.weights ?? [], manifest);
    const spec: ServeSpec = resolveSpec(parseDeployInput({ model }), manifest, recipe, []);
    const digest = digestOf(hash.digest('hex'));
    const source = { model, digest } as Parameters<typeof sourceImageKey>[0]['source'];
    const inputs = { base: this.stack.base, source, spec };
    const key = sourceImageKey(inputs);
    // Outside the names that Slipway gives its images, for the same reason.
    const repository = `built/${model}`;
    const tag = temporaryTag(this.stack.name, { service: wanted.service ?? model, token: 1 });
    const watch: Watch = {
      onProgress: wanted.onProgress ?? (() => undefined),
      signal: wanted.signal ?? new AbortController().signal,
    };
    const deps = {
      docker: this.docker,
      registry: this.registry,
      engineRegistry: this.stack.nodes[0]!.registry,
      credentials: wanted.credentials ?? this.stack.registry,
      build: { ...this.stack.build, ...wanted.build },
      log: { line: (line: string) => void this.lines.push(line), close: () => Promise.resolve() },
    };
    return {
      key,
      repository,
      tag,
      spec,
      /** Deletes a file that the build is going to read. */
      remove: (path: string) => rm(files.get(path)!),
      run: () => buildSourceImage(deps, { ...inputs, repository, key, files, tag }, watch),
    };
  }

  /** Images and containers on the engine that a build of this name left. */
  async left(name: string): Promise<string[]> {
    const images = await this.docker.listImages({ all: true });
    const containers = await this.docker.listContainers({ all: true });
    return [
      ...images.flatMap(({ RepoTags, RepoDigests }) => [...(RepoTags ?? []), ...(RepoDigests ?? [])]),
      ...containers.flatMap(({ Names, Image }) => [...Names, Image]),
    ].filter((it) => it.includes(name));
  }

  /** Pulls an image by digest, until the test ends; answers its name on the engine. */
  async pull(t: TestContext, image: ImageRef): Promise<string> {
    const registry = this.stack.nodes[0]!.registry;
    const reference = `${registry}/${image.repository}@${image.digest}`;
    const { username, password } = this.stack.registry;
    const options = { fromImage: `${registry}/${image.repository}`, tag: image.digest };
    const stream = await this.docker.createImage({ username, password, serveraddress: registry }, options);
    for await (const _ of engineLines(stream));
    // Others may have pulled the same, and remove it under its digest: it stays as long as it has this name.
    const own = { repo: `slipway-test/${randomBytes(5).toString('hex')}`, tag: 'pulled' };
    try {
      await this.docker.getImage(reference).tag(own);
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode === 404) return await this.pull(t, image);
      throw error;
    }
    const name = `${own.repo}:${own.tag}`;
    t.after(async () => {
      await untag(this.docker, reference);
      await untag(this.docker, name);
    });
    return name;
  }

  /** Runs an image as a replica would be run, with weights mounted, and answers how to ask it. */
  async serve(t: TestContext, image: ImageRef, weights: Record<string, Buffer>, env: string[] = []) {
    const reference = await this.pull(t, image);
    const folder = await mkdtemp(join(this.folder, 'weights-'));
    for (const [path, bytes] of Object.entries(weights)) await writeFile(join(folder, path), bytes);
    // The image's user is nobody here.
    await chmod(this.folder, 0o755);
    await chmod(folder, 0o755);
    const container = await this.docker.createContainer({
      Image: reference,
      Env: env,
      ExposedPorts: { '8000/tcp': {} },
      HostConfig: {
        Binds: [`${folder}:/app/model:ro`],
        PortBindings: { '8000/tcp': [{ HostIp: '127.0.0.1', HostPort: '0' }] },
        ReadonlyRootfs: true,
        Tmpfs: { '/tmp': 'rw' },
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges'],
      },
    });
    t.after(() => container.remove({ force: true }));
    await container.start();
    const { NetworkSettings } = await container.inspect();
    const port = Number(NetworkSettings.Ports['8000/tcp']?.[0]?.HostPort);
    for (let tries = 0; (await status(port, '/readyz')) !== 200; tries++) {
      const { State } = await container.inspect();
      if (!State.Running || tries > 1_200)
        throw new Error(`never ready: ${String(await container.logs({ stdout: true, stderr: true }))}`);
      await delay(100);
    }
    return { container, ask: (path: string, body: unknown) => ask(port, path, body) };
  }
}

const status = (port: number, path: string): Promise<number> =>
  new Promise((done) => {
    get({ port, path, host: '127.0.0.1' }, (response) => {
      response.resume();
      done(response.statusCode ?? 0);
    }).once('error', () => done(0));
  });

const ask = (port: number, path: string, body: unknown): Promise<unknown> =>
  new Promise((done, fail) => {
    const sent = request({ port, path, host: '127.0.0.1', method: 'POST' }, (response) => {
      text(response).then((got) => done(JSON.parse(got)), fail);
    });
    sent.once('error', fail).end(JSON.stringify(body));
  });
