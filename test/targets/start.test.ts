import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import Docker from 'dockerode';
import getPort from 'get-port';
import { request } from 'undici';
import { SlipwayError } from '../../contract/errors.js';
import type { ImageRef } from '../../contract/names.js';
import { engineOptions } from '../../platform/targets/engine.js';
import { testStack } from '../support/stack.js';
import { probeImage } from './probe.js';
import { Yard } from './yard.js';

const stack = await testStack();
const docker = new Docker(engineOptions(stack.docker));

describe('starting replicas on a Docker engine', () => {
  let image: ImageRef;
  let yard: Yard;
  before(async () => {
    image = await probeImage(stack);
    yard = new Yard(stack);
  });
  after(async () => await yard.close());

  test('a container that was made but not started is started, one of another specification replaced', async () => {
    const set = yard.set(image, {}, 'serve', 2);
    const [first] = await yard.up(set);
    await docker.getContainer(first!.name).stop({ t: 0 });
    const [again] = await yard.up(set);
    assert.deepEqual(again, first);
    const before = await docker.getContainer(first!.name).inspect();
    await yard.up(yard.set(image, { resources: { cpu: 0.25, memory: '100Mi' } }, 'serve', 2));
    const after = await docker.getContainer(first!.name).inspect();
    assert.notEqual(after.Id, before.Id);
    assert.equal(after.HostConfig.Memory, 100 * 2 ** 20);
  });

  test('a crash and a restart keep the address', async () => {
    const set = yard.set(image, {}, 'serve', 3);
    const [replica] = await yard.up(set);
    const { State } = await docker.getContainer(replica!.name).inspect();
    process.kill(State.Pid, 'SIGKILL');
    await answers(`${replica!.url}/readyz`);
    await docker.getContainer(replica!.name).restart({ t: 0 });
    await answers(`${replica!.url}/readyz`);
    const [state] = await yard.target.list({ token: 3 });
    assert.equal(state!.url, replica!.url);
    assert.equal(state!.running, true);
  });

  test('a taken port is passed over', async () => {
    const ports = await twoPorts();
    const narrow = new Yard(stack, { nodes: [{ ports }] });
    const squatter = createServer().listen(ports[0], '127.0.0.1');
    await once(squatter, 'listening');
    try {
      const [replica] = await narrow.up(narrow.set(image));
      assert.equal(replica!.url, `http://127.0.0.1:${ports[1]}`);
      await assert.rejects(narrow.start(narrow.set(image, {}, 'serve', 2)), (error: unknown) => {
        assert.ok(error instanceof SlipwayError);
        assert.equal(error.type, 'RolloutFailed');
        assert.ok(error.message.includes(`no free port between ${ports[0]} and ${ports[1]}`), error.message);
        return true;
      });
    } finally {
      squatter.close();
      await narrow.close();
    }
  });

  test('the port of a stopped replica is not given away', async () => {
    const narrow = new Yard(stack, { nodes: [{ ports: await twoPorts() }] });
    try {
      const [first] = await narrow.up(narrow.set(image, {}, 'serve', 1));
      await docker.getContainer(first!.name).stop({ t: 0 });
      const [second] = await narrow.up(narrow.set(image, {}, 'serve', 2));
      assert.notEqual(second!.url, first!.url);
      await docker.getContainer(second!.name).stop({ t: 0 });
      await assert.rejects(narrow.start(narrow.set(image, {}, 'serve', 3)), /no free port/);
      await docker.getContainer(first!.name).start();
      await answers(`${first!.url}/readyz`);
    } finally {
      await narrow.close();
    }
  });

  test('two installations whose names make the same one of a container do not meet', async () => {
    const other = new Yard(stack, { stack: `${yard.name}-lily` });
    const theirs = other.set(image);
    const [planned] = other.target.place(theirs);
    const ours = yard.set(image);
    const service = `lily-${ours.grant.service}`;
    const set = { ...ours, grant: { ...ours.grant, service }, release: `${service}.r1` };
    assert.deepEqual(yard.target.place(set), [planned]);
    const [first] = await yard.up(set);
    await assert.rejects(other.start(theirs), { type: 'Conflict', message: /is not this installation's/ });
    await other.target.remove(planned!, 0);
    assert.deepEqual(await other.target.list(), []);
    await answers(`${first!.url}/readyz`);
  });

  test('the container learns its model and configuration by environment', async () => {
    const open = new Yard(stack, { allowPickle: true });
    try {
      const [replica] = await open.up(open.set(image, { load: 'best.pkl', port: 9000 }));
      const env = (await (await request(`${replica!.url}/env`)).body.json()) as Record<string, string>;
      assert.equal(env['MODEL_NAME'], 'iris');
      assert.equal(env['MODEL_TYPE'], 'python-class');
      assert.equal(env['SLIPWAY_PORT'], '9000');
      assert.equal(env['SLIPWAY_DRAIN'], '10');
      assert.equal(env['SLIPWAY_LOAD'], 'best.pkl');
      assert.equal(env['SLIPWAY_ALLOW_PICKLE'], '1');
    } finally {
      await open.close();
    }
    const [strict] = await yard.up(yard.set(image, {}, 'serve', 5));
    const env = (await (await request(`${strict!.url}/env`)).body.json()) as Record<string, string>;
    assert.equal(env['SLIPWAY_ALLOW_PICKLE'], undefined);
    assert.equal(env['SLIPWAY_LOAD'], undefined);
  });

  test('replicas go round the nodes, always the same way', () => {
    const fleet = new Yard(stack, { nodes: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] });
    const set = fleet.set(image, { replicas: 5 });
    const placed = fleet.target.place(set);
    assert.deepEqual(fleet.target.place(set), placed);
    assert.equal(new Set(placed.map(({ name }) => name)).size, 5);
    const counts = ['a', 'b', 'c'].map((name) => placed.filter(({ node }) => node === name).length);
    assert.deepEqual(counts.toSorted(), [1, 2, 2]);
  });

  test('a network that was pruned while a replica stood still is made again', async () => {
    const pruned = new Yard(stack);
    try {
      const set = pruned.set(image);
      const [replica] = await pruned.up(set);
      await docker.getContainer(replica!.name).stop({ t: 0 });
      await pruned.docker('network', 'rm', `slipway-${pruned.name}`);
      await pruned.up(set);
    } finally {
      await pruned.close();
    }
  });

  test('a node without enough memory is named', async () => {
    await assert.rejects(
      yard.start(yard.set(image, { resources: { cpu: 0.5, memory: '900Gi' } }, 'serve', 6)),
      /node "[^"]+" has \d+Mi of memory, a replica needs 900Gi/,
    );
  });
});

async function answers(url: string): Promise<void> {
  for (const end = Date.now() + 120_000; ; await sleep(100)) {
    try {
      const { statusCode, body } = await request(url, { reset: true });
      await body.dump();
      if (statusCode === 200) return;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    assert.ok(Date.now() < end, `${url} does not answer`);
  }
}

/** Two ports side by side that nobody has, apart from those of other yards. */
async function twoPorts(): Promise<[number, number]> {
  for (;;) {
    const first = 19_500 + 2 * randomInt(250);
    const found = [await getPort({ port: first }), await getPort({ port: first + 1 })];
    if (found[0] === first && found[1] === first + 1) return [first, first + 1];
  }
}
