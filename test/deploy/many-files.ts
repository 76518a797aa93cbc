import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import type { PinnedArtifact } from '../../contract/pipeline.js';
import { serviceWorkflowId } from '../../contract/service.js';
import { s3Storage } from '../../platform/storage/s3.js';
import { Slipway } from '../cli/slipway.js';
import { Shipyard } from '../support/deployments.js';
import { greeterSource, greeterWeights, type Files } from '../support/models.js';

/** Bytes of a history's event: far from the 2 MB that Temporal takes in one payload. */
const largest = 256 * 1024;

/** Tests that weights of so many small files are shipped, whose index is larger than a payload may be. */
export function shipsFiles(count: number): void {
  // Names long enough that the index of few files, too, has more than the 2 MB.
  const long = 'x'.repeat(Math.min(200, Math.ceil(2_500_000 / count)));

  describe(`weights of ${count} small files`, { timeout: 600_000 }, () => {
    let yard: Shipyard;
    let folder: string;
    before(async () => {
      yard = await Shipyard.open();
      folder = await mkdtemp(join(tmpdir(), 'slipway-many-'));
    });
    after(async () => {
      await yard.close();
      await rm(folder, { recursive: true });
    });

    test('go from upload to live, and only references to them through Temporal', async () => {
      const model = yard.name('many');
      const parts: Files = {};
      for (let at = 0; at < count; at += 1) parts[`part-${at % 100}/${at}-${long}.txt`] = `${model} ${at}`;
      const [source, weights] = [join(folder, 'source.zip'), join(folder, 'weights.zip')];
      await writeFile(source, await greeterSource());
      await writeFile(weights, await greeterWeights({}, parts));

      const args = ['upload', model, '--source', source, '--weights', weights, '--json'];
      const { stdout, stderr } = await Slipway.run(args);
      const stored = (JSON.parse(stdout || 'null') ?? assert.fail(stderr)) as PinnedArtifact[];
      const pinned = stored.find(({ kind }) => kind === 'weights')!;
      assert.equal(pinned.files, count + 1);
      const index = await s3Storage(yard.stack.s3).listUnder(pinned.index);
      assert.ok(index[0]!.size > 2 * 2 ** 20, `its index has ${index[0]!.size} bytes`);

      const handle = await yard.deploy({ model });
      await handle.result();
      assert.deepEqual(await yard.predict(model, 'Ada'), 'Hello, Ada!');

      const owner = yard.temporal.workflow.getHandle(serviceWorkflowId(model));
      for (const history of [await handle.fetchHistory(), await owner.fetchHistory()]) {
        const { events } = JSON.parse(historyToJSON(history)) as { events: { eventType: string }[] };
        const sizes = events.map((event) => ({
          event: event.eventType,
          size: JSON.stringify(event).length,
        }));
        assert.ok(sizes.length > 10);
        assert.deepEqual(
          sizes.filter(({ size }) => size > largest),
          [],
        );
      }
      await yard.assertNothingLeft();
    });
  });
}
