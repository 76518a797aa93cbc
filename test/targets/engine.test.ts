import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { request } from 'undici';
import { SlipwayError } from '../../contract/errors.js';
import type { ImageRef } from '../../contract/names.js';
import { testStack } from '../support/stack.js';
import { untilTrue } from '../support/until.js';
import { PrivateEngine } from './engine.js';
import { probeImage } from './probe.js';
import { relay, Yard } from './yard.js';

const stack = await testStack();

describe('an engine that restarts and is pruned', () => {
  let engine: PrivateEngine;
  let registry: Awaited<ReturnType<typeof relay>>;
  let yard: Yard;
  let images: ImageRef[];
  before(async () => {
    engine = await PrivateEngine.start();
    registry = await relay(stack.registry.url);
    yard = new Yard(stack, { nodes: [{ docker: engine.address, registry: registry.host }] });
    images = await Promise.all(
      ['1', '2', '3'].map((n) => probeImage(stack, { env: { PROBE_NUMBER: n, PROBE_UNIQUE: yard.name } })),
    );
  });
  after(async () => {
    await registry.close();
    await yard.close();
    await engine.close();
  });

  test('replicas come back by themselves at the same address', async () => {
    const [replica] = await yard.up(yard.set(images[0]!));
    await engine.down();
    await engine.up();
    await untilTrue(async () => {
      const answer = await request(`${replica!.url}/readyz`, { reset: true }).catch(() => null);
      await answer?.body.dump();
      return answer?.statusCode === 200;
    }, 120_000);
    const [state] = await yard.target.list();
    assert.equal(state!.restarts, 0);
  });

  test('an engine that restarts while a replica loads is a passing fault, not a crash', async () => {
    const set = yard.set(
      await probeImage(stack, { env: { PROBE_READY_FILE: '/tmp/ready', PROBE_UNIQUE: yard.name } }),
      {},
      'serve',
      2,
    );
    const replicas = await yard.start(set);
    const waiting = yard.target.awaitReady(set, replicas, yard.watch());
    const outcome = waiting.then(
      () => null,
      (error: unknown) => error,
    );
    await engine.down();
    const error = await outcome;
    assert.ok(error instanceof Error && !(error instanceof SlipwayError), String(error));
    await assert.rejects(yard.target.list(), /on node "[^"]+"/);
    await engine.up();
    for (const { name } of await yard.start(set)) await yard.docker('exec', name, 'touch', '/tmp/ready');
    await yard.up(set);
    await yard.target.remove(replicas[0]!, 0);
    await yard.docker('image', 'prune', '-a', '-f');
  });

  test('rollback images survive a prune of everything unused, and roll back without a registry', async () => {
    const [live, previous, old] = images as [ImageRef, ImageRef, ImageRef];
    for (const [at, image] of [old, previous, live].entries())
      await yard.up(yard.set(image, {}, 'serve', 10 + at));
    for (const token of [10, 11])
      for (const replica of await yard.target.list({ token })) await yard.target.remove(replica, 0);
    await yard.target.retain(live.repository, [live, previous]);
    await yard.target.retain(live.repository, [live, previous]);
    const pins = await yard.target.list({ role: 'pin' });
    assert.equal(pins.length, 2);
    assert.ok(pins.every(({ running }) => !running));
    assert.ok(!(await digests()).includes(old.digest), 'what is not kept is removed');

    await yard.docker('image', 'prune', '-a', '-f');
    assert.deepEqual(new Set(await digests()), new Set([live.digest, previous.digest]));
    await registry.close();
    await yard.up(yard.set(previous, {}, 'serve', 20));

    await yard.target.retain(live.repository, [live]);
    assert.equal((await yard.target.list({ role: 'pin' })).length, 1);
    assert.ok((await digests()).includes(previous.digest), 'what still runs is left alone');
    for (const replica of await yard.target.list({ token: 20 })) await yard.target.remove(replica, 0);
    await yard.target.retain(live.repository, [live]);
    assert.deepEqual(await digests(), [live.digest]);
  });

  const digests = async () => {
    const listed = await yard.docker('images', '--digests', '--format', '{{.Digest}}');
    return listed.split('\n').filter((digest) => digest.startsWith('sha256:'));
  };
});

test('a full disk on a node is told as such', async () => {
  const engine = await PrivateEngine.start({ megabytes: 60 });
  const yard = new Yard(stack, { nodes: [{ docker: engine.address }] });
  try {
    const set = yard.set(await probeImage(stack));
    await assert.rejects(yard.target.pull(set, yard.watch()), (error: unknown) => {
      assert.ok(error instanceof SlipwayError, String(error));
      assert.equal(error.type, 'RolloutFailed');
      assert.match(error.message, /^disk full: pulling .* on node ".*": .*no space left on device/);
      return true;
    });
  } finally {
    await engine.close();
  }
});
