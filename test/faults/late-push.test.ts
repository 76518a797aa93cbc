import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createRegistry } from '../../platform/images/registry.js';
import { repositoryOf } from '../../platform/images/repository.js';
import { Front } from '../registry/front.js';
import type { Shipyard } from '../support/deployments.js';
import { FaultWorker } from '../support/faults.js';
import { until } from '../support/until.js';
import { Wire } from '../support/wire.js';
import { withoutWorker } from '../support/without-worker.js';

/** Equal content has an equal digest: to take back the one is to take away the other. */
describe('a push that arrives after its deployment was terminated and undone', () => {
  let yard: Shipyard;
  withoutWorker((opened) => (yard = opened));

  /**
   * Deploys both models while the registry does not answer their manifests, and loses the worker. Their deployments are
   * terminated and undone; only after `meanwhile` do the manifests arrive.
   */
  async function latePushes(models: string[], meanwhile: () => Promise<unknown>): Promise<void> {
    let arrive = () => undefined as void;
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    const held = new Set<string>();
    const { url, username, password } = yard.stack.registry;
    const behind = { username, password, port: Number(new URL(url).port) };
    const front = await Front.before(behind, async ({ method, url: path = '' }) => {
      if (method === 'PUT' && path.includes('/manifests/sha256:')) {
        held.add(path);
        await arrived;
      }
      return false;
    });
    const wire = await Wire.to(new URL(`tcp://${yard.stack.temporal.address}`));
    const late = await FaultWorker.start({}, { temporal: wire.address, registry: front.url });
    try {
      const deployments = await Promise.all(models.map((model) => yard.deploy({ model, replicas: 2 })));
      await until(
        async () => models.every((model) => [...held].some((path) => path.includes(model))) || null,
      );
      wire.refuse(true);
      wire.cut();
      const other = await FaultWorker.start();
      try {
        await Promise.all(deployments.map((handle) => handle.terminate('its worker is presumed dead')));
        await Promise.all(models.map((model) => yard.untilFree(model)));
        await meanwhile();
        arrive();
        await until(async () => {
          const failed = await late.failed();
          return failed.filter((line) => line.startsWith('pushImage: ')).length >= models.length || null;
        });
        for (const model of models) {
          assert.equal(await yard.predict(model, 'Ada'), 'Hello, Ada!');
          await assertThere(model);
        }
        await yard.assertNothingLeft();
      } finally {
        await other.end('SIGTERM');
      }
    } finally {
      await late.end('SIGKILL');
      await wire.close();
      await front.close();
    }
  }

  /** The image of the one release there is, with its tag. */
  const assertThere = async (model: string): Promise<void> => {
    const registry = createRegistry(yard.stack.registry);
    const tags = (await registry.listTags(repositoryOf(yard.stack.registry, model))).filter(
      (tag) => !tag.startsWith('source-'),
    );
    assert.equal(tags.length, 1, tags.join(', '));
    assert.notEqual(await registry.getManifest(repositoryOf(yard.stack.registry, model), tags[0]!), null);
  };

  test('leaves the image of the live release alone, and that of the deployment after it', async () => {
    const live = await yard.greeter('live');
    const next = await yard.greeter('next');
    const worker = await FaultWorker.start();
    await yard.ship({ model: live });
    await worker.end('SIGTERM');
    await latePushes([live, next], () => yard.ship({ model: next }));
  });
});
