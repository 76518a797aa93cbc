import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../contract/errors.js';

/** Milliseconds that something is waited for. */
const patience = 60_000;

/** Programs that belong together, each with a log in one folder. */
export class Children {
  readonly #running: { name: string; log: string; child: ChildProcess }[] = [];

  constructor(
    readonly folder: string,
    readonly signal: AbortSignal,
  ) {}

  async start(name: string, program: string, args: string[]): Promise<void> {
    const log = join(this.folder, `${name}.log`);
    const file = await open(log, 'a');
    try {
      const child = spawn(program, args, { stdio: ['ignore', file.fd, file.fd] });
      await once(child, 'spawn');
      this.#running.push({ name, log, child });
    } finally {
      await file.close();
    }
  }

  /** Waits until `check` throws no more. Throws when it takes too long, or with a program's last words when one ended. */
  async until(what: string, check: () => Promise<unknown>): Promise<void> {
    for (const end = Date.now() + patience; ; await sleep(100, undefined, { signal: this.signal })) {
      const dead = this.#running.find(({ child }) => hasEnded(child));
      if (dead) throw new Error(`waiting for ${what}: ${dead.name} has ended: ${await lastLines(dead.log)}`);
      try {
        await check();
        return;
      } catch (cause) {
        if (Date.now() > end)
          throw new Error(`waiting for ${what}: not there after ${patience / 1000} s: ${messageOf(cause)}`, {
            cause,
          });
      }
    }
  }

  /** Kills all, the last one first: nothing of theirs is kept. */
  async end(): Promise<void> {
    for (const { child } of this.#running.splice(0).reverse()) {
      if (hasEnded(child)) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean =>
  exitCode !== null || signalCode !== null;

const lastLines = async (file: string): Promise<string> =>
  (await readFile(file, 'utf8')).trimEnd().split('\n').slice(-5).join('\n');
