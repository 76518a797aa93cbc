import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { TrafficFigures } from '../../contract/traffic.js';
import type { Catalog } from '../../platform/catalog/index.js';
import { postgresCatalog } from '../../platform/catalog/postgres.js';
import { OwnPostgres } from '../support/own-postgres.js';
import { Traffic } from '../support/traffic.js';
import { untilTrue } from '../support/until.js';
import { acknowledged, routeTo, TestGateway, Upstream } from './fixtures.js';
import { GatewayWorld } from './world.js';

describe('the gateway without the catalog', () => {
  let server: OwnPostgres;
  let catalog: Catalog;
  let gateway: TestGateway;
  let one: Upstream;
  let two: Upstream;
  let open: () => Promise<Catalog>;
  const opened: Catalog[] = [];
  before(async () => {
    server = await OwnPostgres.start();
    const url = await server.database('away');
    catalog = await postgresCatalog(url);
    open = async () => {
      const fresh = await postgresCatalog(url);
      opened.push(fresh);
      return fresh;
    };
    one = await Upstream.start('one');
    two = await Upstream.start('two');
    gateway = await TestGateway.start({ catalog: open, id: 'gateway' });
  });
  after(async () => {
    await gateway.close();
    await Promise.all([...opened, catalog].map((each) => each.close()));
    await Promise.all([server.close(), one.kill(), two.kill()]);
  });

  test('PostgreSQL killed: it serves on; back: it follows and acknowledges', async () => {
    await acknowledged(catalog, (await routeTo(catalog, 'iris', [one.url])).version);
    const ask = async (): Promise<string> => String(await gateway.output('iris'));
    const traffic = await Traffic.during(ask, 50, async () => {
      await delay(300);
      await server.kill();
      await delay(4_000);
      assert.match(await (await fetch(`${gateway.url}/healthz`)).text(), /"catalog":"away"/);
      await server.restart();
      const { version } = await routeTo(catalog, 'iris', [two.url]);
      await untilTrue(async () => (await catalog.livingGateways()).some((each) => each.version >= version));
      assert.equal(await gateway.output('iris'), 'two');
    });
    assert.deepEqual(traffic.failures, []);
    assert.deepEqual([...traffic.answers.keys()], ['one', 'two']);
    const told = gateway.log.filter((line) => line.includes('reading routes'));
    assert.equal(told.length, 1, 'an outage is told of once');
    assert.ok(!gateway.log.join().includes('secret'));
  });

  test('restarted while PostgreSQL is away, it has the same routes, and follows when it is back', async () => {
    await gateway.stop();
    assert.deepEqual(await catalog.livingGateways(), []);
    await server.kill();
    await gateway.start();
    assert.equal(await gateway.output('iris'), 'two');
    await server.restart();
    await acknowledged(catalog, (await routeTo(catalog, 'iris', [one.url])).version);
    assert.equal(await gateway.output('iris'), 'one');
  });

  test('a gateway that starts is waited for before it has read the routes', async () => {
    await gateway.stop();
    const { version } = await routeTo(catalog, 'iris', [two.url]);
    let proceed: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (proceed = resolve));
    const slow = await TestGateway.start({
      id: 'slow',
      catalog: async () => {
        const real = await open();
        return {
          ...real,
          routes: async () => {
            const routes = await real.routes();
            await held;
            return routes;
          },
        };
      },
    });
    const living = async () => (await catalog.livingGateways()).find(({ id }) => id === 'slow')?.version;
    assert.equal(await living(), 0);
    proceed();
    await untilTrue(async () => (await living()) === version);
    await slow.close();
    await gateway.start();
  });

  test('remembered routes that cannot be read are reported and left aside', async () => {
    await gateway.stop();
    const file = join(gateway.stateFolder, 'routes.json');
    const whole = await readFile(file, 'utf8');
    await server.kill();
    for (const content of [whole.slice(0, whole.length / 2), '{"version":"x"}', '']) {
      await writeFile(file, content);
      gateway.log.length = 0;
      await gateway.start();
      assert.match(gateway.log.join(), /reading remembered routes from .*routes\.json/);
      const response = await gateway.predict('iris');
      assert.equal(response.status, 503);
      assert.match(await response.text(), /no routes are known yet/);
      await gateway.stop();
    }
    await gateway.start();
    await server.restart();
    await untilTrue(async () => (await gateway.predict('iris')).status === 200);
  });

  test('a catalog made anew, counting from the start again, is followed', async () => {
    const fresh = await postgresCatalog(await server.database('anew'));
    opened.push(fresh);
    await gateway.stop();
    const folder = gateway.stateFolder;
    assert.ok(
      (JSON.parse(await readFile(join(folder, 'routes.json'), 'utf8')) as { version: number }).version > 1,
    );
    const anew = await TestGateway.start({ catalog: async () => fresh });
    await writeFile(join(anew.stateFolder, 'routes.json'), await readFile(join(folder, 'routes.json')));
    await anew.stop();
    await anew.start();
    const { version } = await routeTo(fresh, 'iris', [one.url]);
    assert.equal(version, 1);
    await acknowledged(fresh, version);
    assert.equal(await anew.output('iris'), 'one');
    await anew.close();
    await gateway.start();
  });
});

describe('weights and figures without the catalog', () => {
  let server: OwnPostgres;
  let world: GatewayWorld;
  before(async () => {
    server = await OwnPostgres.start();
    world = await GatewayWorld.open({
      database: { url: await server.database('away'), drop: () => server.close() },
    });
  });
  after(() => world.close());

  async function outputs(service: string, count: number): Promise<string[]> {
    const answers: string[] = [];
    while (answers.length < count) answers.push(String(await world.gateway.output(service)));
    return answers;
  }
  const figuresOf = (service: string): Promise<TrafficFigures> =>
    world.catalog.trafficOf(service, `${service}.r1`);
  async function counted(service: string, requests: number): Promise<void> {
    await untilTrue(async () => (await figuresOf(service)).requests >= requests);
    // More of them would come with the next report.
    await delay(1_200);
    assert.equal((await figuresOf(service)).requests, requests);
  }

  test('the division is remembered while the catalog is away', async () => {
    const service = world.service();
    const fresh = await world.upstream('new');
    await world.route(service, (await world.upstream('old')).url);
    const { release } = await world.weigh(service, 20, [fresh.url]);
    await world.gateway.stop();
    await server.kill();
    await world.gateway.start();
    assert.equal((await outputs(service, 100)).filter((output) => output === 'new').length, 20);
    const response = await fetch(`${world.gateway.url}/v1/models/${service}`);
    assert.match(await response.text(), new RegExp(`"release":"${release}","replicas":1,"weight":20`));
    await server.restart();
    await untilTrue(async () => (await world.catalog.livingGateways()).length > 0);
  });

  test('while PostgreSQL is away nothing is lost and no request waits; a new run adds to the old one', async () => {
    const service = world.service();
    await world.route(service, (await world.upstream('one')).url);
    await world.gateway.output(service);
    await counted(service, 1);
    world.gateway.log.length = 0;
    await server.kill();
    for (let count = 0; count < 60; count += 1) {
      const asked = performance.now();
      await world.gateway.output(service);
      assert.ok(performance.now() - asked < 1_000);
      await delay(50);
    }
    // The last of them have been taken for a report that failed.
    await delay(1_500);
    assert.equal(world.gateway.log.filter((line) => line.includes('reporting figures')).length, 1);
    await server.restart();
    await counted(service, 61);
    await world.gateway.output(service);
    // Its last report goes out before it ends.
    await world.gateway.stop();
    assert.equal((await figuresOf(service)).requests, 62);
    await world.gateway.start();
    await world.gateway.output(service);
    await counted(service, 63);
  });
});
