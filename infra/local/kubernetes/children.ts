import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../../contract/errors.js';

/** Milliseconds that something is waited for. */
const patience = 180_000;

type Running = { log: string; child: ChildProcess; again: () => Promise<void> };

/** Programs that belong together, each with a log in one folder. */
export class Children {
  readonly #running = new Map<string, Running>();
  /** How those that were killed are started again. */
  readonly #away = new Map<string, () => Promise<void>>();

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
      this.#running.set(name, { log, child, again: () => this.start(name, program, args) });
    } finally {
      await file.close();
    }
  }

  /** Sends one a real signal; waits for its end unless that only freezes or thaws it. */
  async send(name: string, signal: NodeJS.Signals): Promise<void> {
    const running = this.#running.get(name);
    if (!running || hasEnded(running.child))
      throw new Error(`sending ${signal} to "${name}": it does not run`);
    const { child, again } = running;
    const ended = once(child, 'exit');
    const lasting = signal === 'SIGSTOP' || signal === 'SIGCONT';
    if (!lasting) {
      this.#running.delete(name);
      this.#away.set(name, again);
    }
    child.kill(signal);
    if (!lasting) await ended;
  }

  /** Starts one that was killed, as it was started before. */
  async again(name: string): Promise<void> {
    const again = this.#away.get(name);
    if (!again) throw new Error(`starting "${name}" again: it was not killed`);
    this.#away.delete(name);
    await again();
  }

  /** Waits until `check` throws no more. Throws when it takes too long, or with a program's last words when one ended. */
  async until(what: string, check: () => Promise<unknown>): Promise<void> {
    for (const end = Date.now() + patience; ; await sleep(100, undefined, { signal: this.signal })) {
      const dead = [...this.#running].find(([, { child }]) => hasEnded(child));
      if (dead) throw new Error(`waiting for ${what}: ${dead[0]} has ended: ${await lastLines(dead[1].log)}`);
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
    const running = [...this.#running.values()].reverse();
    this.#running.clear();
    for (const { child } of running) {
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
