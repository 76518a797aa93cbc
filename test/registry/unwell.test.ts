import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TestRegistry } from '../support/registry.js';
import { Front, refuse } from './front.js';
import { append, blobOf, MiB, noise, putSourceImage, repository, watch } from './sample.js';

describe('a registry, or what stands before it, that says no', () => {
  let server: TestRegistry;
  before(async () => {
    server = await TestRegistry.start();
  });
  after(() => server.stop());

  test('too many requests: it waits as long as it is asked to, then the push arrives', async () => {
    const refusals: number[] = [];
    const front = await Front.before(server, (asked, answer) => {
      if (asked.method !== 'POST' || refusals.length >= 2) return false;
      refusals.push(Date.now());
      return refuse(answer, 429, { 'retry-after': '1' }, 'TOOMANYREQUESTS');
    });
    try {
      const blob = blobOf(noise(100));
      await server.client({ url: front.url }).putBlob(repository, blob, watch());
      assert.equal(await server.client().blobSize(repository, blob.digest), blob.size);
      assert.ok(refusals[1]! - refusals[0]! >= 1000);
      assert.ok(Date.now() - refusals[1]! >= 1000);
    } finally {
      await front.close();
    }
  });

  test('errors that pass are ridden out in every kind of request', async () => {
    const failed = new Set<string>();
    const front = await Front.before(server, (asked, answer) => {
      const kind = `${asked.method} ${asked.url?.replace(/[0-9a-f-]{36}.*|sha256:.*/, '')}`;
      if (failed.has(kind)) return false;
      failed.add(kind);
      return refuse(answer, 503, {}, 'UNAVAILABLE');
    });
    try {
      const source = await putSourceImage(server.client());
      const weights = { 'big.bin': noise(40 * MiB), 'small.txt': noise(10) };
      const { image } = await append(server.client({ url: front.url }), source, weights);
      assert.ok(await server.client().getManifest(repository, image.digest));
      assert.ok([...failed].some((kind) => kind.startsWith('PATCH')));
      assert.ok([...failed].some((kind) => kind.includes('/manifests/')));
    } finally {
      await front.close();
    }
  });

  test('an error that does not pass is told with what was done and to what, after a bounded time', async () => {
    let asked = 0;
    const front = await Front.before(server, (_, answer) => {
      asked += 1;
      return refuse(answer, 500, {}, 'UNKNOWN');
    });
    try {
      const { digest } = blobOf(noise(1));
      const began = Date.now();
      await assert.rejects(
        server.client({ url: front.url }).putManifest(repository, Buffer.from('{}'), 'text/plain', 'tag'),
        /putting manifest "slipway\/sample:tag": the registry answered 500 \(UNKNOWN refused by the front\)/,
      );
      assert.ok(Date.now() - began < 90_000);
      assert.ok(asked > 1 && asked < 10, `${asked} requests`);
      await assert.rejects(
        server.client({ url: front.url }).readBlob(repository, digest, AbortSignal.timeout(300)),
        { name: 'TimeoutError' },
      );
    } finally {
      await front.close();
    }
  });

  test('a registry that takes no chunks gets the blob whole', async () => {
    let chunks = 0;
    const front = await Front.before(server, (asked, answer) => {
      if (asked.method !== 'PATCH') return false;
      chunks += 1;
      return refuse(answer, 405, {}, 'UNSUPPORTED');
    });
    try {
      const blob = blobOf(noise(80 * MiB));
      await server.client({ url: front.url }).putBlob(repository, blob, watch());
      assert.equal(await server.client().blobSize(repository, blob.digest), blob.size);
      assert.equal(chunks, 1);
    } finally {
      await front.close();
    }
  });

  test('bytes that are not those of the digest are never taken for it', async () => {
    const real = blobOf(Buffer.from('{"real":true}'));
    await server.client().putBlob(repository, real, watch());
    const front = await Front.before(server, (asked, answer) => {
      if (!asked.url?.includes('/blobs/')) return false;
      answer.end('{"real":false}');
      return true;
    });
    try {
      await assert.rejects(
        server.client({ url: front.url }).readBlob(repository, real.digest),
        new RegExp(`reading layer "${real.digest}" of "slipway/sample": its bytes are "sha256:`),
      );
    } finally {
      await front.close();
    }
  });
});
