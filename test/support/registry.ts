import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hash } from 'bcryptjs';
import { execa } from 'execa';
import { registry as registryTool } from '../../infra/local/tools/registry.js';
import { getTool } from '../../infra/local/tools/tool.js';
import { createRegistry } from '../../platform/images/registry.js';
import type { Registry } from '../../platform/images/index.js';
import { serverPort } from './ports.js';

/** A real registry of a test's own, behind a user name and password. */
export class TestRegistry {
  readonly username = 'shipper';
  readonly password = 'correct horse';
  private process: ChildProcess | null = null;

  private constructor(
    readonly folder: string,
    readonly port: number,
    private readonly command: string,
    private readonly limited: boolean,
  ) {}

  /** With `megabytes`, its disk is no larger than that (needs root). `command`: another build of the registry. */
  static async start({
    megabytes,
    command,
  }: { megabytes?: number; command?: string } = {}): Promise<TestRegistry> {
    const program =
      command ?? (await getTool(registryTool, () => undefined, AbortSignal.timeout(20 * 60_000)));
    const folder = await mkdtemp(join(tmpdir(), 'slipway-registry-'));
    await mkdir(join(folder, 'data'));
    if (megabytes !== undefined)
      await execa('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', join(folder, 'data')]);
    const registry = new TestRegistry(folder, await serverPort(), program, megabytes !== undefined);
    const users = join(folder, 'htpasswd');
    await writeFile(users, `${registry.username}:${await hash(registry.password, 4)}\n`);
    const config = {
      version: 0.1,
      log: { level: 'error', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(folder, 'data') }, delete: { enabled: true } },
      // With a secret of its own, uploads outlive the process.
      http: { addr: `127.0.0.1:${registry.port}`, secret: 'not so secret' },
      auth: { htpasswd: { realm: 'test', path: users } },
    };
    await writeFile(join(folder, 'config.yml'), JSON.stringify(config));
    try {
      await registry.up();
    } catch (error) {
      await registry.stop();
      throw error;
    }
    return registry;
  }

  /** `127.0.0.1:1234` */
  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** A client, at another address or with another password where the test wants it. */
  client(change: { url?: string; password?: string } = {}): Registry {
    const { username, password } = this;
    return createRegistry({ url: `http://${this.host}`, username, password, ...change });
  }

  async up(): Promise<void> {
    this.process = spawn(this.command, ['serve', join(this.folder, 'config.yml')], { stdio: 'ignore' });
    const authorization = `Basic ${Buffer.from(`${this.username}:${this.password}`).toString('base64')}`;
    for (const end = Date.now() + 20_000; ; await sleep(50)) {
      const answer = await fetch(`http://${this.host}/v2/`, { headers: { authorization } }).catch(() => null);
      await answer?.body?.cancel();
      if (answer?.status === 200) return;
      if (Date.now() > end) throw new Error(`the registry in "${this.folder}" does not answer`);
    }
  }

  /** `kill -9` */
  async kill(): Promise<void> {
    const { process } = this;
    if (process === null) return;
    this.process = null;
    if (process.exitCode === null && process.signalCode === null) {
      process.kill('SIGKILL');
      await once(process, 'exit');
    }
  }

  /** Collects garbage, as operators do. */
  async collect(): Promise<void> {
    await this.kill();
    await execa(this.command, ['garbage-collect', join(this.folder, 'config.yml')]);
    await this.up();
  }

  /** Removes what has been uploaded of blobs that are not finished, as a registry's own clean-up does. */
  async forgetUploads(repository: string): Promise<void> {
    await rm(this.inRepository(repository, '_uploads'), { recursive: true, force: true });
  }

  /** Bytes the registry keeps of uploads that were neither finished nor cancelled. */
  async unfinishedBytes(repository: string): Promise<number> {
    const folder = this.inRepository(repository, '_uploads');
    const uploads = await readdir(folder).catch(() => []);
    const sizes = uploads.map((upload) => stat(join(folder, upload, 'data')).catch(() => ({ size: 0 })));
    return (await Promise.all(sizes)).reduce((sum, { size }) => sum + size, 0);
  }

  /** Digests of the manifests that a repository has, with a tag or without; whole or not. */
  async manifests(repository: string): Promise<string[]> {
    const digests = await readdir(this.inRepository(repository, '_manifests/revisions/sha256'));
    return digests.map((hex) => `sha256:${hex}`).sort();
  }

  /** Leaves no room on its disk, which has to be a limited one, until {@link unfill}. */
  async fill(): Promise<void> {
    if (!this.limited) throw new Error('the disk of the registry is that of the machine');
    await execa('dd', ['if=/dev/zero', `of=${this.filler}`, 'bs=4k'], { reject: false });
  }

  async unfill(): Promise<void> {
    await rm(this.filler);
  }

  private get filler(): string {
    return join(this.folder, 'data', 'filler');
  }

  /** Path of a blob's bytes in the registry's storage. */
  blobPath(digest: string): string {
    const hex = digest.slice('sha256:'.length);
    return join(this.folder, 'data/docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data');
  }

  async stop(): Promise<void> {
    await this.kill();
    if (this.limited) await execa('umount', [join(this.folder, 'data')]);
    await rm(this.folder, { recursive: true, force: true });
  }

  private inRepository(repository: string, name: string): string {
    return join(this.folder, 'data/docker/registry/v2/repositories', repository, name);
  }
}
