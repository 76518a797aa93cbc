import { createWriteStream } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { ZipFile } from 'yazl';
import { ApiClient } from '../api/client.js';
import { upload } from '../api/upload.js';
import { parseDeployInput, type DeployRequest, type ServeSpec } from '../contract/deploy.js';
import type { ImageRef } from '../contract/names.js';
import { ensureFiles, readIndex } from '../platform/archive/artifacts.js';
import { appendWeights } from '../platform/images/append.js';
import { withdraw } from '../platform/images/publish.js';
import { repositoryOf } from '../platform/images/repository.js';
import {
  buildSourceImage,
  cleanupBuild,
  sourceImageKey,
  temporaryTag,
} from '../platform/images/source-image.js';
import type { Platform } from '../platform/open.js';
import { pinDeployment } from '../platform/pin.js';
import { sourcePaths } from '../platform/recipes/layout.js';

/** `dist/bench/` is two folders below the checkout. */
const example = fileURLToPath(new URL('../../examples/greeter', import.meta.url));
const watch = { onProgress: () => undefined, signal: new AbortController().signal };

/** An image in the stack's registry, what its replicas run with, and a function that takes all of it back. */
export type Made = { image: ImageRef; spec: ServeSpec; clean: () => Promise<void> };

/** Makes the greeter of `examples/` an image as a deployment's stages up to push do. */
export async function greeterImage(platform: Platform, request: DeployRequest): Promise<Made> {
  const { stack, storage, cache, registry, builder } = platform;
  const { model } = request;
  const cleaning: (() => Promise<unknown>)[] = [];
  const clean = async (): Promise<void> => {
    for (const undo of cleaning.splice(0).reverse()) await undo();
  };
  try {
    const client = new ApiClient(stack.api, stack.token);
    cleaning.push(() => client.close());
    for (const kind of ['source', 'weights'] as const)
      await zipped(join(example, kind), async (file) => {
        const { object, index } = await upload(client, { model, kind, file });
        cleaning.push(async () => {
          const stored = await storage.stat(index);
          if (stored) await storage.remove(stored);
          await storage.remove(object);
        });
      });
    const pinned = await pinDeployment(platform, parseDeployInput(request), watch);
    const repository = repositoryOf(stack.registry, model);
    const [source, weights] = [
      await readIndex(storage, pinned.source),
      await readIndex(storage, pinned.weights),
    ];
    const fetched = (artifact: typeof pinned.source, index: typeof source): Promise<unknown> => {
      const paths = index.files.map(({ path }) => path);
      return ensureFiles({ storage, cache, limits: stack.archives }, artifact, index, paths, watch);
    };
    await fetched(pinned.source, source);
    await fetched(pinned.weights, weights);

    const node = stack.nodes.find(({ docker }) => docker === stack.docker) ?? stack.nodes[0]!;
    const tag = temporaryTag(stack.name, { service: model, token: 1 });
    cleaning.push(() => cleanupBuild(builder!, tag));
    const sourceImage = await buildSourceImage(
      {
        docker: builder!,
        registry,
        engineRegistry: node.registry,
        credentials: stack.registry,
        build: stack.build,
        log: { line: () => undefined, close: () => Promise.resolve() },
      },
      {
        ...pinned,
        ...{ repository, tag, key: sourceImageKey(pinned) },
        files: new Map([...sourcePaths(source)].map(([path, { sha256 }]) => [path, cache.pathOf(sha256)])),
      },
      watch,
    );
    cleaning.push(() => withdraw(registry, sourceImage));
    const digests = new Map(weights.files.map(({ path, sha256 }) => [path, sha256]));
    const { image } = await appendWeights(
      registry,
      {
        ...{ repository, sourceImage, index: weights },
        open: (path, start) => cache.open(digests.get(path)!, start),
      },
      watch,
    );
    cleaning.push(() => withdraw(registry, image));
    return { image, spec: pinned.spec, clean };
  } catch (error) {
    await clean();
    throw error;
  }
}

/** Calls `use` with a zip of a folder. */
async function zipped(folder: string, use: (file: string) => Promise<void>): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'slipway-bench-'));
  try {
    const file = join(home, 'bundle.zip');
    const archive = new ZipFile();
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile() && !path.includes('__pycache__')) archive.addFile(path, relative(folder, path));
    }
    archive.end();
    await pipeline(archive.outputStream, createWriteStream(file));
    await use(file);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}
