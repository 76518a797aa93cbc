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
   * `first`, then a deployment of the same content whose worker is lost while the registry has not answered its manifest
   * yet, then `next`. Only then does the manifest arrive.
   */
  const latePush = async (
    model: string,
    { first, next }: Record<'first' | 'next', () => Promise<unknown>>,
  ): Promise<void> => {
    const worker = await FaultWorker.start();
    await first();
    await worker.end('SIGTERM');
    let arrive = () => undefined as void;
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    let held = false;
    const { url, username, password } = yard.stack.registry;
    const behind = { username, password, port: Number(new URL(url).port) };
    const front = await Front.before(behind, async ({ method, url: path = '' }) => {
      if (method === 'PUT' && path.includes('/manifests/sha256:')) {
        held = true;
        await arrived;
      }
      return false;
    });
    const wire = await Wire.to(new URL(`tcp://${yard.stack.temporal.address}`));
    const late = await FaultWorker.start({}, { temporal: wire.address, registry: front.url });
    try {
      const handle = await yard.deploy({ model, replicas: 2 });
      await until(async () => (held ? true : null));
      wire.refuse(true);
      wire.cut();
      const other = await FaultWorker.start();
      try {
        await handle.terminate('its worker is presumed dead');
        await yard.untilFree(model);
        await next();
        arrive();
        await until(async () => {
          const failed = await late.failed();
          return failed.some((line) => line.startsWith('pushImage: ')) ? true : null;
        });
        assert.deepEqual(await yard.predict(model, 'Ada'), 'Hello, Ada!');
        await assertThere(model);
        await yard.assertNothingLeft();
      } finally {
        await other.end('SIGTERM');
      }
    } finally {
      await late.end('SIGKILL');
      await wire.close();
      await front.close();
    }
  };

  /** The image of the one release there is, with its tag. */
  const assertThere = async (model: string): Promise<void> => {
    const registry = createRegistry(yard.stack.registry);
    const tags = (await registry.listTags(repositoryOf(yard.stack.registry, model))).filter(
      (tag) => !tag.startsWith('source-'),
    );
    assert.equal(tags.length, 1, tags.join(', '));
    assert.notEqual(await registry.getManifest(repositoryOf(yard.stack.registry, model), tags[0]!), null);
  };

  test('leaves the image of the live release alone', async () => {
    const model = await yard.greeter('late');
    await latePush(model, { first: () => yard.ship({ model }), next: () => Promise.resolve() });
  });

  test('leaves the image of the deployment after it alone', async () => {
    const model = await yard.greeter('late');
    await latePush(model, { first: () => Promise.resolve(), next: () => yard.ship({ model }) });
  });
});
