import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Harbour } from '../support/harbour.js';
import { holdPart, killComponent, releasePart, repair } from '../support/harm.js';

describe('servers that go away under a service on Kubernetes', () => {
  let harbour: Harbour;
  let model: string;
  before(async () => {
    harbour = await Harbour.open();
    model = await harbour.model();
    await harbour.yard.ship(harbour.request(model));
  });
  after(async () => {
    await repair();
    await harbour.close();
  });

  test('everything but the gateway and the nodes is down: predictions go on', async () => {
    await holdPart('apiserver');
    try {
      for (const server of ['temporal', 'postgres', 'minio', 'registry'] as const)
        await killComponent(server, 'SIGKILL');
      assert.equal(await harbour.yard.predict(model, 'Ada'), 'Hello, Ada!');
    } finally {
      await releasePart('apiserver');
      await repair();
    }
  });

  test('a rollback finds the registry down: the copy on the node is used', async () => {
    await harbour.retrain(model, { greeting: 'Bye' });
    const verify = { samples: [{ input: 'Ada', expect: 'Bye, Ada!' }] };
    await harbour.yard.ship(harbour.request(model, { verify }));
    await killComponent('registry', 'SIGKILL');
    try {
      await harbour.yard.ship(harbour.request(model, { rollbackTo: 'previous' }));
      assert.equal(await harbour.yard.predict(model, 'Ada'), 'Hello, Ada!');
    } finally {
      await repair();
    }
    await harbour.yard.assertNothingLeft();
  });

  test('a replica deleted by hand comes back, and no request is lost meanwhile', async () => {
    const removed = async () => {
      const pods = await harbour.kubectl('get', 'pods', '-l', `slipway.dev/service=${model}`, '-o', 'name');
      await harbour.kubectl('delete', pods.split('\n')[0]!);
    };
    await harbour.losesNone(model, removed, 20);
    await harbour.assertOnly(model, `${model}.r3`, 2);
  });
});
