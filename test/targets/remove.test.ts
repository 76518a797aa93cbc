import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { request } from 'undici';
import type { ImageRef } from '../../contract/names.js';
import { testStack } from '../support/stack.js';
import { untilTrue } from '../support/until.js';
import { probeImage } from './probe.js';
import { Yard } from './yard.js';

const stack = await testStack();

describe('removing replicas', () => {
  let yard: Yard;
  let image: ImageRef;
  before(async () => {
    yard = new Yard(stack);
    image = await probeImage(stack, { env: { PROBE_ANSWER_FILE: '/tmp/answer', PROBE_DRAINS: '1' } });
  });
  after(async () => await yard.close());

  test('a request in flight is answered before the container goes', async () => {
    const [replica] = await yard.up(yard.set(image, {}, 'serve', 1));
    const answer = request(`${replica!.url}/predict`, {
      method: 'POST',
      body: '{"input": [7]}',
      reset: true,
    });
    const says = async (word: string) => (await yard.docker('logs', replica!.name)).includes(word);
    await untilTrue(() => says('answering'), 60_000);
    const removed = yard.target.remove(replica!, 60_000);
    await untilTrue(() => says('draining'), 60_000);
    await yard.docker('exec', replica!.name, 'touch', '/tmp/answer');
    const { statusCode, body } = await answer;
    assert.equal(statusCode, 200);
    assert.deepEqual(await body.json(), { output: [7] });
    await removed;
    assert.deepEqual(await yard.target.list({ token: 1 }), []);
  });

  test('one that does not end in its grace is killed', async () => {
    const stubborn = await probeImage(stack, { env: { PROBE_IGNORES_TERM: '1' } });
    const [replica] = await yard.up(yard.set(stubborn, {}, 'serve', 2));
    const began = Date.now();
    await yard.target.remove(replica!, 1_000);
    const took = Date.now() - began;
    assert.ok(took >= 900 && took < 60_000, `${took} ms`);
    assert.deepEqual(await yard.target.list({ token: 2 }), []);
  });

  test('removing twice, at once, and what never was, is fine', async () => {
    const [replica] = await yard.up(yard.set(image, {}, 'serve', 3));
    await Promise.all(Array.from({ length: 5 }, () => yard.target.remove(replica!, 1_000)));
    await yard.target.remove(replica!, 0);
    assert.equal(await yard.target.evidence(replica!), '');
    assert.deepEqual(await yard.target.list({ token: 3 }), []);
  });

  test('containers are found by label, matching all that is asked', async () => {
    await yard.up(yard.set(image, { replicas: 2 }, 'serve', 4));
    await yard.up(yard.set(image, {}, 'check', 4));
    assert.equal((await yard.target.list({ token: 4 })).length, 3);
    assert.equal((await yard.target.list({ token: 4, role: 'check' })).length, 1);
    assert.equal((await yard.target.list({ service: 'iris', release: 'iris.r4', role: 'serve' })).length, 2);
    assert.deepEqual(await yard.target.list({ service: 'other' }), []);
    const [state] = await yard.target.list({ token: 4, role: 'check' });
    assert.equal(state!.service, 'iris');
    assert.equal(state!.image, `${image.repository}@${image.digest}`);
    assert.equal(state!.deployment, `wf-${yard.name}`);
    assert.equal(state!.exitCode, null);
    assert.equal(state!.running, true);
  });
});
