import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const entry = fileURLToPath(new URL('../../cli/main.js', import.meta.url));

/** What a finished command left. */
export type Ended = { status: number | null; stdout: string; stderr: string };

/** The command line as a process of its own, as users run it. */
export class Slipway {
  stdout = '';
  stderr = '';

  private constructor(private readonly child: ChildProcess) {
    child.stdout?.on('data', (bytes: Buffer) => (this.stdout += bytes.toString()));
    child.stderr?.on('data', (bytes: Buffer) => (this.stderr += bytes.toString()));
  }

  static start(args: string[], env: NodeJS.ProcessEnv = {}): Slipway {
    return new Slipway(
      spawn(process.execPath, [entry, ...args], {
        env: { ...process.env, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
  }

  /** On a terminal of its own, of that size; what it draws there is all in `stdout`. */
  static onTerminal(args: string[], env: NodeJS.ProcessEnv = {}, size = 'rows 40 cols 150'): Slipway {
    const command = [`stty ${size};`, 'exec', process.execPath, entry, ...args].join(' ');
    return new Slipway(
      spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
        env: { ...process.env, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
  }

  static async run(args: string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
    return await Slipway.start(args, env).ended();
  }

  /** Ctrl-C. */
  interrupt(): void {
    this.child.kill('SIGINT');
  }

  /** Closes the terminal of {@link onTerminal}: its window is gone, and what runs on it is hung up on. */
  close(): void {
    this.child.kill('SIGKILL');
  }

  /** The reader of its output goes away, as `head` does. */
  stopReading(): void {
    this.child.stdout?.destroy();
  }

  /** Waits for words on stdout or stderr. */
  async said(words: RegExp, budget = 120_000): Promise<void> {
    for (const end = Date.now() + budget; !words.test(this.stdout + this.stderr); await delay(50)) {
      const said = `${this.stdout}${this.stderr}`;
      if (this.child.exitCode !== null) throw new Error(`it ended without ${words}: ${said}`);
      if (Date.now() > end) throw new Error(`waiting for ${words}: ${said}`);
    }
  }

  async ended(): Promise<Ended> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'close');
    return { status: this.child.exitCode, stdout: this.stdout, stderr: this.stderr };
  }
}
