import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { lock } from 'proper-lockfile';
import { messageOf } from '../../../contract/errors.js';
import { cacheFolder } from '../home.js';
import { findOnPath } from './path.js';

export type Say = (doing: string) => void;

/** A program the stack needs, and the ways to get it, in order. */
export type Tool = {
  name: string;
  /** Names it may have on PATH. */
  commands: string[];
  /** Oldest version on PATH that will do, and how to read one from what it prints when asked (`--version`). */
  floor: { version: string; read: RegExp; ask?: string[] };
  sources: Source[];
  /** What a person can do when nothing works. */
  advice: string;
};

/** One way to get a tool. */
export type Source = {
  /** For messages: `downloading https://…`. */
  what: string;
  /** Puts the program into `folder`, or throws. */
  install: (folder: string, say: Say, signal: AbortSignal) => Promise<void>;
  /** Where the program is kept: in the per-user cache under its version, or on PATH as a package leaves it. */
  keeps: { version: string; program: string } | 'on PATH';
};

/**
 * Path of a tool: on PATH, in the per-user cache, else got from its sources, each tried once.
 * Throws an error that names the tool, what was tried with each cause, and what to do.
 */
export async function getTool(tool: Tool, say: Say, signal: AbortSignal): Promise<string> {
  const tried: string[] = [];
  const present = await findPresent(tool, tried);
  if (present !== null) return present;

  const release = await lockTool(tool);
  try {
    // Another stack may have got it meanwhile.
    const found = await findPresent(tool, []);
    if (found !== null) return found;
    for (const source of tool.sources) {
      signal.throwIfAborted();
      say(source.what);
      try {
        return await use(tool, source, say, signal);
      } catch (error) {
        signal.throwIfAborted();
        tried.push(`${source.what}: ${messageOf(error)}`);
        say(`${source.what}: failed, ${messageOf(error).split('\n')[0]}`);
      }
    }
  } finally {
    await release();
  }
  throw new Error(
    `finding "${tool.name}": nothing worked\n${tried.map((line) => `  - ${line}`).join('\n')}\n${tool.advice}`,
  );
}

/** A tool that is there already: on PATH in a version that will do, or in the cache. */
export async function findPresent(tool: Tool, tried: string[] = []): Promise<string | null> {
  const onPath = await findOnPath(tool, tried);
  if (onPath !== null) return onPath;
  const cached = tool.sources
    .flatMap(({ keeps }) => (keeps === 'on PATH' ? [] : [pathInCache(tool, keeps)]))
    .find((path) => existsSync(path));
  return cached ?? null;
}

const pathInCache = (tool: Tool, { version, program }: { version: string; program: string }): string =>
  cacheFolder('tools', `${tool.name}-${version}`, program);

async function use(tool: Tool, source: Source, say: Say, signal: AbortSignal): Promise<string> {
  const { keeps } = source;
  const tools = cacheFolder('tools');
  const partial = await mkdtemp(join(tools, `.partial-${tool.name}-`));
  try {
    await source.install(partial, say, signal);
    if (keeps === 'on PATH') {
      const problems: string[] = [];
      const path = await findOnPath(tool, problems);
      if (path === null) throw new Error(problems.join('; '));
      return path;
    }
    if (!existsSync(join(partial, keeps.program)))
      throw new Error(`no "${basename(keeps.program)}" came of it`);
    const path = pathInCache(tool, keeps);
    // Whole or not at all: a folder under its final name is never half filled.
    await rename(partial, join(tools, `${tool.name}-${keeps.version}`));
    return path;
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

async function lockTool(tool: Tool): Promise<() => Promise<void>> {
  const folder = cacheFolder('tools');
  await mkdir(folder, { recursive: true });
  return await lock(join(folder, `.lock-${tool.name}`), {
    realpath: false,
    stale: 20_000,
    update: 5_000,
    retries: { forever: true, minTimeout: 250, maxTimeout: 1_000 },
  });
}
