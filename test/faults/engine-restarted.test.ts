import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Shipyard } from '../support/deployments.js';
import { greeterWeights } from '../support/models.js';
import { killComponent, repair } from '../support/harm.js';

describe('servers that go away under a running service', () => {
  let yard: Shipyard;
  let model: string;
  before(async () => {
    yard = await Shipyard.onStack();
    model = await yard.greeter('served');
    await yard.ship({ model });
  });
  after(async () => {
    await repair();
    await yard.close();
  });

  test('the engine restarts: the service comes back loaded, on the same route', async () => {
    await killComponent('docker', 'SIGKILL');
    await repair();
    await eventually(async () => assert.deepEqual(await yard.predict(model, 'Ada'), 'Hello, Ada!'));
    await yard.assertNothingLeft();
  });

  test('everything but the engine and the gateway is down: predictions go on', async () => {
    for (const server of ['temporal', 'postgres', 'minio', 'registry'] as const)
      await killComponent(server, 'SIGKILL');
    assert.deepEqual(await yard.predict(model, 'Ada'), 'Hello, Ada!');
    await repair();
  });

  test('the gateway restarts while the catalog is down: the same routes', async () => {
    await killComponent('postgres', 'SIGKILL');
    await killComponent('server', 'SIGKILL');
    await repair({ except: ['postgres'] });
    assert.deepEqual(await yard.predict(model, 'Ada'), 'Hello, Ada!');
    await repair();
  });

  test('a rollback finds the registry down: the copy on the node is used', async () => {
    await yard.put(model, 'weights', await greeterWeights({ greeting: 'Newer' }), '20260102');
    await yard.ship({ model });
    await killComponent('registry', 'SIGKILL');
    await yard.ship({ model, rollbackTo: 'previous' });
    assert.deepEqual(await yard.predict(model, 'Ada'), 'Hello, Ada!');
    await repair();
    await yard.assertNothingLeft();
  });
});

async function eventually(check: () => Promise<void>, budget = 60_000): Promise<void> {
  for (const end = Date.now() + budget; ; await delay(250)) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}
