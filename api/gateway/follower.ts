import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { messageOf } from '../../contract/errors.js';
import type { Catalog } from '../../platform/catalog/index.js';
import { rememberRoutes } from './remembered.js';
import type { RouteTable } from './route-table.js';

/** Routes are read this often, told or not, in milliseconds; the catalog wants to hear of us every 5 s. */
const readInterval = 3_000;
const retryInterval = 1_000;
/** Shortest time between two readings: under many refused connections each asks for one. */
const restInterval = 20;
/** A new version is acknowledged when nothing is in flight to replicas it leaves out, or after so long. */
const settleBudget = 4_000;
const stopBudget = 5_000;

export type FollowerOptions = {
  /** Opens the catalog; asked again until it can be reached. */
  catalog: () => Promise<Catalog>;
  table: RouteTable;
  /** File to remember routes in. */
  file: string;
  /** Name under which this gateway acknowledges versions. */
  id: string;
  logger: Logger;
};

/** Keeps a route table up to date with the catalog, and says which version is served. */
export class RouteFollower {
  /** Whether the last reading succeeded. */
  reachable = true;
  private served = 0;
  private woken = false;
  private resume: (() => void) | null = null;
  private ending = false;
  private catalog: Catalog | null = null;
  private unlisten: (() => Promise<void>) | null = null;
  private loop: Promise<void> | null = null;

  constructor(private readonly options: FollowerOptions) {}

  /** Starts following; returns after the first reading, successful or not, but after `patience` ms at the latest. */
  async start(patience: number): Promise<void> {
    const first = this.readOnce();
    this.loop = first.then(() => this.follow());
    await Promise.race([first, delay(patience, undefined, { ref: false })]);
  }

  /** Reads soon: something suggests that the routes have changed. */
  wake(): void {
    this.woken = true;
    this.resume?.();
  }

  /** Ends following and says goodbye, so that nobody waits for this gateway. */
  async stop(): Promise<void> {
    this.ending = true;
    this.wake();
    // A catalog that hangs must not keep the process.
    await Promise.race([this.loop, delay(stopBudget, undefined, { ref: false })]);
    try {
      await this.unlisten?.();
      await this.catalog?.forgetGateway(this.options.id);
    } catch (error) {
      this.options.logger.warn(`saying goodbye to the catalog: ${messageOf(error)}`);
    }
  }

  private async follow(): Promise<void> {
    while (!this.ending) {
      await delay(restInterval);
      await this.pause(this.reachable ? readInterval : retryInterval);
      this.woken = false;
      await this.readOnce();
    }
  }

  private async readOnce(): Promise<void> {
    const { logger, table } = this.options;
    try {
      await this.read((this.catalog ??= await this.options.catalog()));
      if (!this.reachable) logger.info({ version: this.served }, 'the catalog is back');
      this.reachable = true;
    } catch (error) {
      // Once for each outage, not once for each attempt.
      if (this.reachable)
        logger.warn(`reading routes: ${messageOf(error)}; version ${table.version ?? 'none'} is served on`);
      this.reachable = false;
    }
  }

  private async read(catalog: Catalog): Promise<void> {
    const { table, id } = this.options;
    // Said first: from here on a change of routes waits for us. What was read before that may be gone already.
    await catalog.acknowledge(id, this.served);
    this.unlisten ??= await catalog.onRoutesChanged(() => this.wake());
    const { version, routes } = await catalog.routes();
    if (version === this.served && table.version === version) return;
    const settled = table.adopt(version, routes);
    this.options.logger.info({ version, services: routes.length }, 'serving routes');
    await this.remember({ version, routes });
    // A connection that is made but not yet taken by its replica would be lost if that was told to end now.
    await Promise.race([settled, delay(settleBudget, undefined, { ref: false })]);
    if (this.ending) return;
    await catalog.acknowledge(id, version);
    this.served = version;
  }

  private async remember(remembered: Parameters<typeof rememberRoutes>[1]): Promise<void> {
    try {
      await rememberRoutes(this.options.file, remembered);
    } catch (error) {
      // Serving goes before remembering.
      this.options.logger.warn(messageOf(error));
    }
  }

  private async pause(longest: number): Promise<void> {
    if (this.woken) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, longest);
      this.resume = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.resume = null;
  }
}
