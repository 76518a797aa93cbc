import { mkdtemp, rm } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { execa } from 'execa';
import { endBuildSteps } from '../../infra/local/components/docker-builds.js';
import { unmountBelow } from '../../infra/local/mounts.js';

/** A Docker engine of a test's own, to be restarted, filled and pruned without harm to others. Needs root. */
export class PrivateEngine {
  private daemon: ChildProcess | null = null;

  private constructor(
    private readonly folder: string,
    private readonly bridge: string,
    private readonly subnet: string,
  ) {}

  /** With `megabytes`, its disk is no larger than that. */
  static async start({ megabytes }: { megabytes?: number } = {}): Promise<PrivateEngine> {
    const folder = await mkdtemp(join(tmpdir(), 'slipway-engine-'));
    const hash = createHash('sha256').update(folder).digest();
    const bridge = `slt-${hash.toString('hex').slice(0, 8)}`;
    const subnet = `10.${200 + (hash[0]! % 50)}.${hash[1]!}.1/24`;
    const engine = new PrivateEngine(folder, bridge, subnet);
    await execa('mkdir', [`${folder}/data`]);
    if (megabytes !== undefined)
      await execa('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', `${folder}/data`]);
    await execa('ip', ['link', 'add', bridge, 'type', 'bridge']);
    await execa('ip', ['addr', 'add', subnet, 'dev', bridge]);
    await execa('ip', ['link', 'set', bridge, 'up']);
    await engine.up();
    return engine;
  }

  get address(): string {
    return `unix://${this.folder}/docker.sock`;
  }

  async up(): Promise<void> {
    for (const end = Date.now() + 120_000; ; await sleep(100)) {
      // Two that start at the same moment make the same chains of the firewall, and one of them gives up.
      if (this.daemon === null || this.daemon.exitCode !== null) this.daemon = this.run();
      const { exitCode } = await execa('docker', ['-H', this.address, 'version'], { reject: false });
      if (exitCode === 0) return;
      if (Date.now() > end) throw new Error(`the private engine in "${this.folder}" does not start`);
    }
  }

  private run(): ChildProcess {
    const { folder } = this;
    return spawn(
      'dockerd',
      [
        ...['--data-root', `${folder}/data`, '--exec-root', `${folder}/exec`, '--pidfile', `${folder}/pid`],
        ...['-H', this.address, '--bridge', this.bridge],
        // Apart from the ranges that other engines of this machine choose from.
        ...['--default-address-pool', `base=${this.subnet.replace(/\.\d+\.\d+\/24$/, '.0.0/16')},size=24`],
      ],
      { stdio: 'ignore' },
    );
  }

  /** As at a reboot: containers end with the engine. With SIGKILL, as when the machine has run out of memory. */
  async down(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const { daemon } = this;
    if (daemon === null) return;
    this.daemon = null;
    daemon.kill(signal);
    await once(daemon, 'exit');
    // What a killed one leaves: another process may have got these numbers.
    for (const pid of ['pid', 'exec/containerd/containerd.pid'])
      await rm(`${this.folder}/${pid}`, { force: true });
    await endBuildSteps(`${this.folder}/data`);
  }

  /** Fills its disk, which has to be a limited one, but for so many megabytes, until {@link unfill}. */
  async fill({ leaving }: { leaving: number }): Promise<void> {
    const { stdout } = await execa('df', ['--block-size=1M', '--output=avail,fstype', `${this.folder}/data`]);
    const [, free, type] = /(\d+)\s+(\w+)\s*$/.exec(stdout) ?? [];
    if (type !== 'tmpfs') throw new Error('the disk of the engine is that of the machine');
    await execa('dd', ['if=/dev/zero', `of=${this.filler}`, 'bs=1M', `count=${Number(free) - leaving}`]);
  }

  async unfill(): Promise<void> {
    await rm(this.filler);
  }

  private get filler(): string {
    return `${this.folder}/data/filler`;
  }

  async close(): Promise<void> {
    await this.down();
    await unmountBelow([this.folder]);
    await execa('ip', ['link', 'delete', this.bridge], { reject: false });
    await rm(this.folder, { recursive: true, force: true });
  }
}
