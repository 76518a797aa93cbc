import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { findHome } from '../../infra/local/home.js';
import { findOwned } from '../../infra/local/processes.js';
import { Harbour } from '../support/harbour.js';
import { until } from '../support/until.js';
import { killComponent, repair } from '../support/harm.js';

describe('a model served on Kubernetes', () => {
  let harbour: Harbour;
  let model: string;
  before(async () => {
    harbour = await Harbour.open();
    model = await harbour.serving();
  });
  after(async () => {
    await repair();
    await harbour.close();
  });

  const containers = (): Promise<string> =>
    harbour.kubectl('get', 'pods', '-o', 'jsonpath={.items[*].status.containerStatuses[*].containerID}');

  /** Restarts the node; passes when the same replicas are loaded again by themselves and answer through the gateway. */
  async function comesBack(restart: () => Promise<void>): Promise<void> {
    const [objects, before] = [await harbour.objects(model), (await containers()).split(' ')];
    assert.equal(before.length, 2);
    await restart();
    await until(async () => {
      const now = await containers().catch(() => '');
      return now !== '' && before.every((id) => !now.includes(id)) ? true : null;
    }, 120_000);
    await harbour.assertOnly(model, `${model}.r1`, 2, 120_000);
    const answer = await until(() => harbour.yard.predict(model, 'Ada').catch(() => null));
    assert.equal(answer, 'Hello, Ada!');
    assert.deepEqual(await harbour.objects(model), objects);
    await harbour.yard.assertNothingLeft();
  }

  test('is loaded again after everything on its node was killed, and serves', () =>
    comesBack(async () => {
      const [holder] = await findOwned(`${findHome().name}/kubernetes/holder`);
      process.kill(holder!.pid, 'SIGKILL');
    }));

  test('is loaded again after the cluster was killed as a whole and started, and serves', () =>
    comesBack(async () => {
      await killComponent('kubernetes', 'SIGKILL');
      await repair();
    }));

  test('can be replaced by a newer one then', async () => {
    const { release } = await harbour.yard.ship(await harbour.newer(model, { greeting: 'Bye' }));
    assert.equal(await harbour.yard.predict(model, 'Ada'), 'Bye, Ada!');
    await harbour.assertOnly(model, release, 2);
    await harbour.yard.assertNothingLeft();
  });
});
