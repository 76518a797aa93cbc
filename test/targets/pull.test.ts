import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { SlipwayError } from '../../contract/errors.js';
import type { ImageRef } from '../../contract/names.js';
import type { Stack } from '../../contract/stack.js';
import { installationOf } from '../../platform/targets/installation.js';
import { Front, refuse } from '../registry/front.js';
import { testStack } from '../support/stack.js';
import { probeImage } from './probe.js';
import { relay, Yard } from './yard.js';

const stack = await testStack();

describe('pulling images to a node', () => {
  let image: ImageRef;
  let registry: Awaited<ReturnType<typeof relay>>;
  before(async () => {
    image = await probeImage(stack, { env: { PROBE_UNIQUE: String(Math.random()) } });
  });
  beforeEach(async () => {
    registry = await relay(stack.registry.url);
  });
  afterEach(async () => await registry.close());
  const yards: Yard[] = [];
  after(async () => {
    for (const yard of yards) await yard.close();
  });
  const open = (options: ConstructorParameters<typeof Yard>[1] = {}) => {
    const yard = new Yard(stack, { nodes: [{ registry: registry.host }], ...options });
    yards.push(yard);
    return yard;
  };
  /** Removes the node's copies, whatever address they came from. */
  const forget = async (yard: Yard) => {
    const known = await yard.docker('images', '--digests', '--no-trunc', '--format', '{{.ID}} {{.Digest}}');
    const ids = known.split('\n').filter((line) => line.endsWith(image.digest));
    for (const id of new Set(ids.map((line) => line.split(' ')[0]!))) await yard.docker('rmi', '-f', id);
  };

  test('wrong credentials are named, without the password', async () => {
    const yard = open({ credentials: { username: 'nobody', password: 'sesame' } });
    await forget(yard);
    const error = await refusal(yard.target.pull(yard.set(image), yard.watch()));
    assert.match(error.message, new RegExp(`registry "${registry.host}" refused user "nobody"`));
    assert.ok(!JSON.stringify([error.message, error.details]).includes('sesame'));
  });

  test('a node pulls as the user who may only read, where the configuration names one', async () => {
    const pull = { username: 'reader', password: 'may read' };
    const basic = `Basic ${Buffer.from(`${pull.username}:${pull.password}`).toString('base64')}`;
    const behind = { ...stack.registry, port: Number(new URL(stack.registry.url).port) };
    const front = await Front.before(
      behind,
      ({ method = '', headers }, answer) =>
        !(headers.authorization === basic && ['GET', 'HEAD'].includes(method)) &&
        refuse(answer, 401, { 'www-authenticate': 'Basic realm="front"' }, 'UNAUTHORIZED'),
    );
    try {
      const as = (credentials: Stack['registry']) =>
        open({
          credentials: installationOf({ ...stack, registry: credentials }).credentials,
          nodes: [{ registry: new URL(front.url).host }],
        });
      const reader = as({ ...stack.registry, pull });
      await forget(reader);
      const pusher = as(stack.registry);
      const { message } = await refusal(pusher.target.pull(pusher.set(image), pusher.watch()));
      assert.match(message, new RegExp(`refused user "${stack.registry.username}"`));
      await reader.target.pull(reader.set(image), reader.watch());
    } finally {
      await front.close();
    }
  });

  test('a registry that is away is a passing fault', async () => {
    const yard = open();
    await forget(yard);
    await registry.close();
    await assert.rejects(yard.target.pull(yard.set(image), yard.watch()), (error: unknown) => {
      assert.ok(error instanceof Error && !(error instanceof SlipwayError));
      assert.match(error.message, /pulling ".*" on node ".*": .*refused/);
      return true;
    });
  });

  test('a copy on the node serves while the registry is away, also under its old address', async () => {
    const yard = open();
    await yard.target.pull(yard.set(image), yard.watch());
    await registry.close();
    await yard.target.pull(yard.set(image), yard.watch());
    await yard.up(yard.set(image));
    const moved = open({ nodes: [{ registry: '127.0.0.1:1' }] });
    await moved.target.pull(moved.set(image), moved.watch());
    await moved.up(moved.set(image));
  });

  test('an image pruned between pull and start is pulled again', async () => {
    const yard = open();
    const set = yard.set(image, {}, 'serve', 2);
    await yard.target.pull(set, yard.watch());
    for (const other of yards) await other.close();
    await forget(yard);
    await yard.up(set);
    assert.ok(yard.seen.some(({ message }) => /pulling on .*: \d of \d layers/.test(message)));
  });
});

async function refusal(work: Promise<unknown>): Promise<SlipwayError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof SlipwayError, String(error));
    assert.equal(error.type, 'RolloutFailed');
    return error;
  }
  assert.fail('was not refused');
}
