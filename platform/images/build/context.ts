import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack, type Header, type Pack } from 'tar-stream';
import type { Requirements, SourceFiles } from './requirements.js';
import { pythonRuntime } from './runtime.js';

export type BuildContext = {
  dockerfile: string;
  source: SourceFiles;
  requirements: Requirements | null;
  /** Python version that the source asks for. */
  python: string | undefined;
  /** Files for the steps that install, never copied: `ca.pem`, `pip.conf`. */
  config: ReadonlyMap<string, Buffer>;
};

type Content = Buffer | { file: string };

/**
 * The build context as a tar, streamed: the Dockerfile, `source/`, `runtime/`, and `.slipway-build/` which is only
 * ever mounted. Sorted, with times zeroed. The stream fails when a file cannot be read.
 */
export function contextTar(context: BuildContext): Readable {
  const archive = pack();
  write(archive, filesOf(context)).catch((error: unknown) =>
    archive.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return Readable.from(archive, { objectMode: false });
}

function filesOf({ dockerfile, source, requirements, python, config }: BuildContext): Map<string, Content> {
  const files = new Map<string, Content>([['Dockerfile', Buffer.from(dockerfile)]]);
  const runtime = pythonRuntime().files;
  const install = (part: string, lists: Iterable<[string, Content]>): void => {
    const at = `.slipway-build/${part}`;
    for (const script of ['install.sh', 'settle.py'])
      files.set(`${at}/${script}`, runtime.get(`build/${script}`)!);
    for (const [path, content] of config) files.set(`${at}/config/${path}`, content);
    if (python !== undefined) files.set(`${at}/python-version`, Buffer.from(python));
    for (const [path, content] of lists) files.set(`${at}/requirements/${path}`, content);
  };
  install('server', [['requirements.txt', runtime.get('requirements.txt')!]]);
  if (requirements)
    install(
      'model',
      [...requirements].map(([path, it]): [string, Content] => [path, 'content' in it ? it.content : it]),
    );
  for (const [path, content] of runtime)
    if (path.startsWith('slipway_runtime/')) files.set(`runtime/${path}`, content);
  for (const [path, file] of source) files.set(`source/${path}`, { file });
  return files;
}

async function write(archive: Pack, files: Map<string, Content>): Promise<void> {
  const sorted = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
  const folders = new Set<string>(['source', ...sorted.flatMap(([path]) => parents(path))]);
  for (const name of [...folders].sort())
    await add(archive, { ...common, name: `${name}/`, type: 'directory', mode: 0o755 }, Buffer.alloc(0));
  for (const [name, content] of sorted) await add(archive, { ...common, name, mode: 0o644 }, content);
  archive.finalize();
}

const common = { mtime: new Date(0), uid: 0, gid: 0 };

async function add(
  archive: Pack,
  header: Partial<Header> & { name: string },
  content: Content,
): Promise<void> {
  if (Buffer.isBuffer(content)) {
    await new Promise<void>((done, fail) => {
      archive.entry(header, content, (error) => (error ? fail(error) : done()));
    });
    return;
  }
  const { size } = await stat(content.file);
  await pipeline(createReadStream(content.file), archive.entry({ ...header, size }));
}

function parents(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, at) => parts.slice(0, at + 1).join('/'));
}
