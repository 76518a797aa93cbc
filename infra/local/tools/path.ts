import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { execa } from 'execa';
import type { Tool } from './tool.js';

/** Folders that system programs are in and PATH often leaves out. */
const systemFolders = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** Absolute path of a command, or null. */
export async function which(command: string): Promise<string | null> {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), ...systemFolders]) {
    const path = join(folder, command);
    try {
      if (folder !== '') {
        await access(path, constants.X_OK);
        return path;
      }
    } catch {
      // Not here; the next folder may have it.
    }
  }
  return null;
}

/** The tool on PATH when it is new enough; `tried` gets why not. */
export async function findOnPath(tool: Tool, tried: string[]): Promise<string | null> {
  for (const command of tool.commands) {
    const path = await which(command);
    if (path === null) {
      tried.push(`"${command}" is not on PATH`);
      continue;
    }
    const asked = tool.floor.ask ?? ['--version'];
    const { all } = await execa(path, asked, { all: true, reject: false, timeout: 10_000 });
    const version = tool.floor.read.exec(all ?? '')?.[1];
    if (version !== undefined && isAtLeast(version, tool.floor.version)) return path;
    tried.push(`${path} is ${version ?? 'of an unknown version'}, older than ${tool.floor.version}`);
  }
  return null;
}

/** Compares the numbers in two versions, from left to right. */
export function isAtLeast(version: string, floor: string): boolean {
  const numbers = (text: string): number[] => text.match(/\d+/g)?.map(Number) ?? [];
  const [own, asked] = [numbers(version), numbers(floor)];
  for (let index = 0; index < asked.length; index += 1) {
    const difference = (own[index] ?? 0) - (asked[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}
