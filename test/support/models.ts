import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { ZipFile } from 'yazl';

/** What a version of the greeter's weights does; see `examples/greeter/source/k8s_api_model.py`. */
export type GreeterWeights = {
  /** What it says before the name. */
  greeting?: string;
  /** Time the load takes. */
  delayMs?: number;
  /** Fails while it loads. */
  crash?: boolean;
  /** Loads, then answers wrongly. */
  wrong?: boolean;
  /** Time a prediction takes. */
  hangPredictMs?: number;
};

/** Files of a bundle: path to content. */
export type Files = Record<string, string | Buffer>;

/** Source bundle of the greeter (`python-class`, no requirements: builds in seconds); `extra` adds or replaces files. */
export const greeterSource = async (extra: Files = {}): Promise<Buffer> =>
  zip({ ...patient(await folder('greeter/source')), ...extra });

/** Weights of the greeter; `extra` adds or replaces files. */
export const greeterWeights = (weights: GreeterWeights = {}, extra: Files = {}): Promise<Buffer> =>
  zip({ 'greeting.json': `${JSON.stringify({ greeting: 'Hello', ...weights })}\n`, ...extra });

/** Source bundle of the scikit-learn example: pinned requirements and samples, no code. */
export const irisSource = async (extra: Files = {}): Promise<Buffer> =>
  zip({ ...patient(await folder('iris/source')), ...extra });

/** The trained iris classifier; `extra` adds or replaces files. */
export const irisWeights = async (extra: Files = {}): Promise<Buffer> =>
  zip({ ...(await folder('iris/weights')), ...extra });

/** With a latency budget that a machine which runs other tests keeps too. */
function patient(source: Files): Files {
  const manifest = String(source['slipway.yaml']).replace(/^ *latencyBudget:.*\n/m, '');
  return { ...source, 'slipway.yaml': manifest.replace(/^verify:$/m, 'verify:\n  latencyBudget: 60s') };
}

/** A zip of these files, the same bytes for the same files. */
export async function zip(files: Files, options: { compress?: boolean } = {}): Promise<Buffer> {
  const archive = new ZipFile();
  const bytes = buffer(archive.outputStream);
  for (const path of Object.keys(files).sort())
    archive.addBuffer(Buffer.from(files[path] ?? ''), path, {
      mtime: new Date(1980, 0, 1),
      mode: 0o100644,
      compress: options.compress ?? true,
    });
  archive.end();
  return await bytes;
}

/** `examples/` of the checkout; tests run from `dist/`, which holds no examples. */
export function examplesFolder(): string {
  for (let at = dirname(fileURLToPath(import.meta.url)); at !== dirname(at); at = dirname(at))
    if (existsSync(join(at, 'examples', 'greeter'))) return join(at, 'examples');
  throw new Error('finding "examples": not in any folder above the tests');
}

/** Files of a folder under `examples/`, as they go into a bundle. */
async function folder(path: string): Promise<Files> {
  const root = join(examplesFolder(), path);
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files: Files = {};
  for (const entry of entries) {
    if (!entry.isFile() || entry.parentPath.includes('__pycache__')) continue;
    const file = join(entry.parentPath, entry.name);
    files[file.slice(root.length + 1)] = await readFile(file);
  }
  return files;
}
