import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Stack } from '../../contract/stack.js';
import { until } from './until.js';

const entry = fileURLToPath(new URL('../../workers/main.js', import.meta.url));

/** A worker as the chart starts it: a process, configured by a file. */
export class WorkerProcess {
  private constructor(
    private readonly home: string,
    private readonly child: ReturnType<typeof spawn>,
  ) {}

  /** What it said. */
  log = '';

  static async start(folder: string, stack: Stack, env: NodeJS.ProcessEnv = {}): Promise<WorkerProcess> {
    const home = await mkdtemp(join(folder, 'worker-'));
    const file = join(home, 'stack.json');
    await writeFile(file, JSON.stringify(stack), { mode: 0o600 });
    const child = spawn(process.execPath, ['--enable-source-maps', entry], {
      env: { ...process.env, SLIPWAY_HOME: home, SLIPWAY_STACK: file, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const worker = new WorkerProcess(home, child);
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (bytes: Buffer) => (worker.log += bytes.toString()));
    return worker;
  }

  /** Waits until it polls. */
  async ready(): Promise<void> {
    await until(() => {
      if (this.child.exitCode !== null) throw new Error(`the worker ended: ${this.log}`);
      return Promise.resolve(existsSync(join(this.home, 'run', 'worker.ready')) || null);
    });
  }

  /** Waits until it has said something; answers what. */
  async says(what: RegExp): Promise<string> {
    return await until(() => Promise.resolve(what.exec(this.log)?.[0] ?? null));
  }

  /** Status that it ends with by itself. */
  async ended(): Promise<number | null> {
    if (this.child.exitCode === null) await once(this.child, 'exit');
    return this.child.exitCode;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGTERM');
      await once(this.child, 'exit');
    }
    await rm(this.home, { recursive: true });
  }
}
