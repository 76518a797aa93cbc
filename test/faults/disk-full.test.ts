import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { ApplicationFailure } from '@temporalio/common';
import type { Stack } from '../../contract/stack.js';
import { census } from '../../platform/census.js';
import { clearInstallation } from '../../platform/targets/docker.js';
import { packageThatRuns } from '../build/sleeper.js';
import type { Shipyard } from '../support/deployments.js';
import { greeterSource, greeterWeights } from '../support/models.js';
import { WorkerProcess } from '../support/worker-process.js';
import { withoutWorker } from '../support/without-worker.js';
import { PrivateEngine } from '../targets/engine.js';

const mebibyte = 2 ** 20;

describe('a service on an engine whose disk is full', () => {
  let yard: Shipyard;
  let engine: PrivateEngine;
  let stack: Stack | undefined;
  let worker: WorkerProcess;
  let folder: string | undefined;
  let model: string;
  // Before the stack's own worker comes back: both would serve their metrics at one address.
  after(async () => {
    await worker?.stop();
    if (stack) await clearInstallation(stack.name, stack.nodes);
    await engine?.close();
    if (folder) await rm(folder, { recursive: true, force: true });
  });
  withoutWorker((opened) => (yard = opened));
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-disk-'));
    engine = await PrivateEngine.start({ megabytes: 1200 });
    // Builder and only node. Older engines of one machine have one id, so that only another name keeps their bridges apart.
    const [node] = yard.stack.nodes;
    const small = {
      ...yard.stack,
      name: yard.name('small'),
      docker: engine.address,
      nodes: [{ ...node!, name: 'small', docker: engine.address }],
    };
    stack = small;
    worker = await WorkerProcess.start(folder, small);
    await worker.ready();
    model = await yard.greeter('disk', { greeting: 'Stable' });
    await yard.ship({ model });
  });

  test('as a builder: the deployment fails and says so, the release before serves on', async () => {
    const fill = 'with open("/opt/filler", "wb") as filler:\n  while True: filler.write(b"x" * 10**6)';
    const source = {
      'requirements.txt': './sleeper-1.0.tar.gz\n',
      'sleeper-1.0.tar.gz': await packageThatRuns(fill),
    };
    await yard.put(model, 'source', await greeterSource(source));
    const failure = await refused();
    assert.equal(failure.type, 'BuildFailed');
    assert.match(failure.message, /the disk of the build engine is full/);
  });

  test('as a node: the deployment fails and says so, the release before serves on', async () => {
    await yard.put(model, 'source', await greeterSource());
    const noise = { 'noise.bin': randomBytes(150 * mebibyte) };
    await yard.put(model, 'weights', await greeterWeights({ greeting: 'Newer' }, noise), '20260102');
    await engine.fill({ leaving: 100 });
    const failure = await refused();
    assert.equal(failure.type, 'RolloutFailed');
    assert.match(failure.message, /disk full: pulling .* on node "small"/);

    await engine.unfill();
    await yard.ship({ model });
    assert.equal(await yard.predict(model, 'Ada'), 'Newer, Ada!');
    assert.deepEqual(await unaccounted(), []);
  });

  /** Deploys what must fail and change nothing; answers how it failed. */
  async function refused(): Promise<ApplicationFailure> {
    const before = await unaccounted();
    assert.equal(await yard.predict(model, 'Ada'), 'Stable, Ada!');
    const failure = await yard.failure(await yard.deploy({ model }));
    assert.equal(await yard.predict(model, 'Ada'), 'Stable, Ada!');
    assert.deepEqual(await unaccounted(), before);
    return failure;
  }

  /** What there is of this model that nothing explains. */
  async function unaccounted(): Promise<string[]> {
    const found = (await census(stack!)).unaccounted.map(({ kind, name }) => `${kind} ${name}`);
    return found.filter((one) => one.includes(model));
  }
});
