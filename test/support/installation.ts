import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { openContext } from '../../api/context.js';
import { startGateway } from '../../api/gateway/index.js';
import { createApi } from '../../api/server.js';
import type { Stack } from '../../contract/stack.js';
import { createInstallation } from '../../infra/installation.js';
import { clearInstallation } from '../../platform/targets/docker.js';
import { serverPort } from './ports.js';
import { testStack } from './stack.js';
import { LocalWorker } from './local-worker.js';

/**
 * An installation of a test's own on the servers of the run: nobody else's deployments, containers, images or routes are
 * in it. Its API and gateway run in the test's process; so does its worker, where it has one.
 */
export class TestInstallation {
  private worker: LocalWorker | null = null;

  private constructor(
    readonly stack: Stack,
    /** Path of its configuration. */
    readonly stackFile: string,
    private readonly closing: (() => Promise<unknown>)[],
  ) {}

  /** From now on everything in this process that asks for the stack of the run gets this one's configuration. */
  static async open(): Promise<TestInstallation> {
    const servers = await testStack();
    const folder = await mkdtemp(join(tmpdir(), 'slipway-installation-'));
    const before = process.env['SLIPWAY_STACK'];
    const closing: (() => Promise<unknown>)[] = [
      () => rm(folder, { recursive: true, force: true, maxRetries: 5 }),
      async () => {
        if (before === undefined) delete process.env['SLIPWAY_STACK'];
        else process.env['SLIPWAY_STACK'] = before;
      },
    ];
    try {
      const ports = { api: await serverPort(), gateway: await serverPort() };
      const stack = await createInstallation(servers, `t-${randomBytes(4).toString('hex')}`, {
        folder,
        ports,
      });
      const stackFile = join(folder, 'stack.json');
      process.env['SLIPWAY_STACK'] = stackFile;
      closing.push(() => clearInstallation(stack.name, stack.nodes));
      const logger = pino({ level: 'silent' });
      const context = await openContext(stack, logger);
      closing.push(() => context.close());
      const gateway = await startGateway({
        catalog: async () => (await context.platform()).catalog,
        listen: { host: '127.0.0.1', port: ports.gateway },
        stateFolder: stack.state,
        logger,
      });
      closing.push(() => gateway.close());
      const api = createApi(context);
      closing.push(() => api.close());
      await api.listen({ host: '127.0.0.1', port: ports.api });
      return new TestInstallation(stack, stackFile, closing);
    } catch (error) {
      await closeAll(closing);
      throw error;
    }
  }

  /** Starts its worker, in this process. */
  async startWorker(): Promise<void> {
    this.worker ??= await LocalWorker.start({}, { of: this.stack });
  }

  /** Lets what the worker does end. */
  async stopWorker(): Promise<void> {
    const { worker } = this;
    this.worker = null;
    await worker?.end();
  }

  async close(): Promise<void> {
    await this.stopWorker();
    await closeAll(this.closing);
  }
}

/** Last opened, first closed; what fails stops none of the others. */
async function closeAll(closing: (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const close of closing.splice(0).reverse())
    await close().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw new AggregateError(failures, 'closing the installation of a test');
}
