import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Registry } from '../../platform/images/index.js';
import { TestRegistry } from '../support/registry.js';
import { cutOnceAfter, cutOnceBefore, Line } from './line.js';
import { append, blobOf, MiB, noise, putSourceImage, repository, watch } from './sample.js';
import { distribution3 } from './tools.js';

const chunk = 32 * MiB;
const newerRegistry = await distribution3();

describe('uploading a blob over a line that breaks', () => {
  let server: TestRegistry;
  let line: Line;
  let registry: Registry;
  beforeEach(async () => {
    server = await TestRegistry.start();
    line = await Line.to(server.port);
    registry = server.client({ url: line.url });
  });
  afterEach(async () => {
    await line.close();
    await server.stop();
  });

  test('cut between chunks: it goes on at the byte the registry has', async () => {
    const blob = blobOf(noise(2.5 * chunk));
    line.judgedBy(cutOnceBefore(`content-range: ${chunk}-`));
    const starts: number[] = [];
    const open = (start: number) => {
      starts.push(start);
      return blob.open(start);
    };
    await registry.putBlob(repository, { ...blob, open }, watch());
    assert.equal(line.cuts, 1);
    assert.equal(await registry.blobSize(repository, blob.digest), blob.size);
    assert.equal(starts.filter((start) => start === 0).length, 1, starts.join());
    assert.ok(line.sent < blob.size + MiB, `${line.sent} bytes for ${blob.size}`);
  });

  test('cut within a chunk: that blob arrives, and the layers before it are not sent again', async () => {
    const source = await putSourceImage(server.client());
    const weights = { 'a.bin': noise(8 * MiB), 'b.bin': noise(40 * MiB) };
    line.judgedBy(cutOnceAfter(20 * MiB));
    const { image } = await append(registry, source, weights);
    assert.equal(line.cuts, 1);
    assert.ok(await registry.getManifest(repository, image.digest));
    assert.ok(line.sent < 8 * MiB + 2 * 40 * MiB, `${line.sent} bytes`);
  });

  // Decided beforehand: what a test starts before it skips itself is not stopped.
  const skip = newerRegistry === null && 'distribution 3 could not be built here';
  test(
    'cut within a chunk, where the registry can tell how far it got: only the rest is sent',
    { skip },
    async () => {
      const newer = await TestRegistry.start({ command: newerRegistry! });
      const cutting = await Line.to(newer.port, cutOnceAfter(20 * MiB));
      try {
        const blob = blobOf(noise(2 * chunk));
        await newer.client({ url: cutting.url }).putBlob(repository, blob, watch());
        assert.equal(cutting.cuts, 1);
        assert.equal(await newer.client().blobSize(repository, blob.digest), blob.size);
        assert.ok(cutting.sent < blob.size + 5 * MiB, `${cutting.sent} bytes for ${blob.size}`);
      } finally {
        await cutting.close();
        await newer.stop();
      }
    },
  );

  test('the registry has forgotten the upload: that blob alone is begun again', async () => {
    const blob = blobOf(noise(2.5 * chunk));
    let starts = 0;
    const open = async (start: number) => {
      if (start === chunk && starts === 1) await server.forgetUploads(repository);
      if (start === 0) starts += 1;
      return await blob.open(start);
    };
    await registry.putBlob(repository, { ...blob, open }, watch());
    assert.equal(starts, 2);
    assert.equal(await registry.blobSize(repository, blob.digest), blob.size);
  });

  test('the registry is killed and comes back during an upload: the upload arrives', async () => {
    const blob = blobOf(noise(3 * chunk));
    const killed: Promise<void>[] = [];
    const open = async (start: number) => {
      if (start === chunk && killed.length === 0)
        killed.push(
          server
            .kill()
            .then(() => sleep(500))
            .then(() => server.up()),
        );
      return await blob.open(start);
    };
    await registry.putBlob(repository, { ...blob, open }, watch());
    await Promise.all(killed);
    assert.equal(killed.length, 1);
    assert.deepEqual(await server.client().blobSize(repository, blob.digest), blob.size);
  });

  test('the reply to the last request is lost: the blob is found to be there, nothing is sent again', async () => {
    const blob = blobOf(noise(8 * MiB));
    line.judgedBy(() => 'pass');
    line.loseReplyTo('PUT /');
    await registry.putBlob(repository, blob, watch());
    assert.equal(line.cuts, 1);
    assert.ok(line.sent < blob.size + MiB);
  });

  test('the reply to a manifest is lost: pushing again ends with the same image', async () => {
    const source = await putSourceImage(server.client());
    const weights = { 'lost.bin': noise(4 * MiB) };
    line.loseReplyTo(`PUT /v2/${repository}/manifests/`);
    const first = await append(registry, source, weights);
    assert.equal(line.cuts, 1);
    assert.deepEqual((await append(registry, source, weights)).image, first.image);
  });

  test('cancelled in the middle: it stops, and leaves no upload open in the registry', async () => {
    const blob = blobOf(noise(3 * chunk));
    const stop = new AbortController();
    const open = (start: number) => {
      if (start === chunk) stop.abort(new Error('stop it'));
      return blob.open(start);
    };
    await assert.rejects(registry.putBlob(repository, { ...blob, open }, watch(stop.signal)), /stop it/);
    assert.equal(await server.client().blobSize(repository, blob.digest), null);
    assert.equal(await server.unfinishedBytes(repository), 0);
  });

  test('a file that cannot be read fails the upload at once, and says which layer', async () => {
    const blob = blobOf(noise(8 * MiB));
    let opened = 0;
    const open = () => {
      opened += 1;
      throw new Error('evicted');
    };
    await assert.rejects(registry.putBlob(repository, { ...blob, open }, watch()), (error: Error) => {
      assert.match(error.message, new RegExp(`uploading layer "${blob.digest}" to "${repository}"`));
      return true;
    });
    assert.equal(opened, 1);
    assert.equal(await server.unfinishedBytes(repository), 0);
  });

  test('bytes that are not those of the digest are refused, and not sent for ever', async () => {
    const blob = { ...blobOf(noise(MiB)), digest: blobOf(noise(MiB)).digest };
    await assert.rejects(registry.putBlob(repository, blob, watch()), /DIGEST_INVALID/);
    assert.ok(line.sent < 3 * MiB, `${line.sent} bytes`);
  });
});
