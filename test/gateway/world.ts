import type { Grant, Route } from '../../contract/pipeline.js';
import type { Catalog } from '../../platform/catalog/index.js';
import { postgresCatalog } from '../../platform/catalog/postgres.js';
import { grantTo, weighUnder } from '../catalog/fixtures.js';
import { makeDatabase, type TestDatabase } from '../support/database.js';
import { acknowledged, routeTo, TestGateway, Upstream } from './fixtures.js';

/** A gateway with a catalog of its own, for one test file. */
export class GatewayWorld {
  private readonly upstreams: Upstream[] = [];
  private services = 0;

  private constructor(
    private readonly database: TestDatabase,
    readonly catalog: Catalog,
    readonly gateway: TestGateway,
  ) {}

  static async open({
    database: given,
    ...options
  }: { bodyLimit?: number; answerTimeout?: number; database?: TestDatabase } = {}): Promise<GatewayWorld> {
    const database = given ?? (await makeDatabase());
    const catalog = await postgresCatalog(database.url);
    const gateway = await TestGateway.start({ catalog: async () => catalog, ...options });
    return new GatewayWorld(database, catalog, gateway);
  }

  async close(): Promise<void> {
    await this.gateway.close();
    await Promise.all(this.upstreams.map((upstream) => upstream.kill()));
    await this.catalog.close();
    await this.database.drop();
  }

  /** A name that no test has used. */
  service(): string {
    return `iris-${(this.services += 1)}`;
  }

  async upstream(...arguments_: Parameters<typeof Upstream.start>): Promise<Upstream> {
    const started = await Upstream.start(...arguments_);
    this.upstreams.push(started);
    return started;
  }

  /** Routes a service to these addresses, and returns when the gateway does. */
  async route(service: string, ...urls: string[]): Promise<Route> {
    const route = await routeTo(this.catalog, service, urls);
    await acknowledged(this.catalog, route.version);
    return route;
  }

  /** Sends this percent of the requests to a release on its way at these addresses. */
  async weigh(
    service: string,
    weight: number,
    urls: string[],
    grant?: Grant,
  ): Promise<{ grant: Grant; release: string; undo: () => Promise<void> }> {
    const own = grant ?? (await grantTo(this.catalog, service, `canary ${Math.random()}`));
    const { entry, route, release } = await weighUnder(this.catalog, own, weight, urls);
    await acknowledged(this.catalog, route.version);
    const undo = async (): Promise<void> => {
      await this.catalog.beginUndo(own);
      const back = await this.catalog.unshift(entry);
      await this.catalog.closeGrant(own, 'failed');
      if (back) await acknowledged(this.catalog, back.version);
    };
    return { grant: own, release: release.id, undo };
  }
}
