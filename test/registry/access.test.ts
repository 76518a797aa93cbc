import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, SlipwayError } from '../../contract/errors.js';
import { createRegistry } from '../../platform/images/registry.js';
import { TestRegistry } from '../support/registry.js';
import { Front, refuse } from './front.js';
import { append, blobOf, MiB, noise, putSourceImage, repository, watch } from './sample.js';

describe('who may push', () => {
  let server: TestRegistry;
  before(async () => {
    server = await TestRegistry.start();
  });
  after(() => server.stop());

  test('a wrong password is named with repository and user, and is not in the error', async () => {
    const registry = server.client({ password: 'open sesame' });
    const source = await putSourceImage(server.client());
    await assert.rejects(append(registry, source, { 'a.txt': noise(10) }), (error: unknown) => {
      assert.ok(error instanceof SlipwayError);
      assert.equal(error.type, 'PushFailed');
      assert.equal(error.details['repository'], repository);
      assert.equal(error.details['user'], server.username);
      const told = `${inspect(error, { depth: 10 })} ${messageOf(error)}`;
      assert.ok(!told.includes('sesame') && !told.includes(Buffer.from('sesame').toString('base64')));
      return true;
    });
    assert.ok(!inspect(registry, { depth: 10, showHidden: true }).includes('sesame'));
  });

  test('a wrong password is not tried again', async (t) => {
    const front = await Front.before(server, (_, answer) =>
      refuse(answer, 401, { 'www-authenticate': 'Basic realm="front"' }, 'UNAUTHORIZED'),
    );
    t.after(() => front.close());
    const registry = server.client({ url: front.url, password: 'open sesame' });
    await assert.rejects(registry.putBlob(repository, blobOf(noise(1)), watch()), { type: 'PushFailed' });
    const tried = front.asked.filter(({ authorization }) => authorization);
    assert.ok(tried.length <= 1, JSON.stringify(tried.map(({ method, path }) => [method, path])));
  });

  test('a user who may read but not write is told so', async () => {
    const front = await Front.before(server, (asked, answer) =>
      asked.method === 'POST' ? refuse(answer, 403) : false,
    );
    try {
      await assert.rejects(
        server.client({ url: front.url }).putBlob(repository, blobOf(noise(10)), watch()),
        { type: 'PushFailed', message: /does not allow this to user "shipper"/ },
      );
    } finally {
      await front.close();
    }
  });

  test('bearer tokens that expire during a push are fetched anew, scoped to one repository', async () => {
    const tokens = new Map<string, { scope: string; until: number }>();
    let refused = 0;
    const front: Front = await Front.before(server, async (asked, answer) => {
      const url = new URL(asked.url ?? '', 'http://front');
      const basic = `Basic ${Buffer.from(`${server.username}:${server.password}`).toString('base64')}`;
      if (url.pathname === '/token') {
        if (asked.headers.authorization !== basic) return refuse(answer, 401);
        const token = randomUUID();
        const scope = url.searchParams.getAll('scope').join(' ');
        tokens.set(token, { scope, until: Date.now() + 500 });
        // It promises more life than its tokens have: clocks differ.
        answer.end(JSON.stringify({ token, expires_in: 60 }));
        return true;
      }
      const token = tokens.get(asked.headers.authorization?.replace('Bearer ', '') ?? '');
      if (token && token.until > Date.now() && token.scope.includes('repository:slipway/sample:'))
        return false;
      refused += 1;
      const challenge = `Bearer realm="${front.url}/token",service="test",scope="repository:x:pull"`;
      return refuse(answer, 401, { 'www-authenticate': challenge }, 'UNAUTHORIZED');
    });
    try {
      const registry = server.client({ url: front.url });
      const source = await putSourceImage(server.client());
      const weights = Object.fromEntries(
        Array.from({ length: 6 }, (_, at) => [`${at}.bin`, noise(5 * MiB)] as const),
      );
      const slow = async (start: number, bytes: Buffer) => {
        await sleep(400);
        return blobOf(bytes).open(start);
      };
      const { image } = await append(registry, source, weights, {
        open: async (path, start) => (await slow(start, weights[path]!)) as never,
      });
      assert.ok(await server.client().getManifest(repository, image.digest));
      assert.ok(refused > 2, `${refused} refused`);
      assert.ok(tokens.size > 2, `${tokens.size} tokens`);
      for (const { scope } of tokens.values())
        assert.match(scope, /^repository:slipway\/sample:pull(,push)?$/);
      await assert.rejects(
        createRegistry({ url: front.url, username: 'shipper', password: 'no' }).listTags(repository),
        { type: 'PushFailed', message: /refuses the credentials of user "shipper"/ },
      );
    } finally {
      await front.close();
    }
  });

  test('a token that expires while a blob is sent is renewed, and the blob arrives', async () => {
    let good = '';
    let patches = 0;
    const front: Front = await Front.before(server, (asked, answer) => {
      if (asked.url?.startsWith('/token')) {
        good = randomUUID();
        answer.end(JSON.stringify({ access_token: good, expires_in: 3600 }));
        return true;
      }
      if (asked.method === 'PATCH' && ++patches === 2) good = 'expired';
      if (asked.headers.authorization === `Bearer ${good}`) return false;
      return refuse(answer, 401, { 'www-authenticate': `Bearer realm="${front.url}/token"` }, 'UNAUTHORIZED');
    });
    try {
      const blob = blobOf(noise(80 * MiB));
      await server.client({ url: front.url }).putBlob(repository, blob, watch());
      assert.equal(await server.client().blobSize(repository, blob.digest), blob.size);
      assert.ok(patches > 2);
    } finally {
      await front.close();
    }
  });

  test('credentials go to the registry alone: not where it sends uploads, not where it redirects to', async () => {
    const blob = blobOf(noise(40 * MiB));
    await server.client().putBlob('slipway/stored', blob, watch());
    const storage = await Front.before(server, () => false);
    const front = await Front.before(
      server,
      (asked, answer) => {
        if (!asked.headers.authorization)
          return refuse(answer, 401, { 'www-authenticate': 'Basic realm="front"' }, 'UNAUTHORIZED');
        if (asked.method !== 'GET' || !asked.url?.includes('/slipway/stored/blobs/')) return false;
        answer.writeHead(307, { location: storage.url + asked.url }).end();
        return true;
      },
      (location) => location.replace(/^http:\/\/[^/]+/, storage.url),
    );
    try {
      const registry = server.client({ url: front.url });
      assert.equal(await registry.blobSize('slipway/stored', blob.digest), blob.size);
      await registry.putBlob('slipway/uploaded', blob, watch());
      assert.equal(await server.client().blobSize('slipway/uploaded', blob.digest), blob.size);
      assert.ok(front.asked.some(({ authorization }) => authorization?.startsWith('Basic ')));
      assert.ok(storage.asked.some(({ method }) => method === 'PATCH'));
      assert.ok(storage.asked.some(({ method }) => method === 'GET'));
      for (const { method, path, authorization } of storage.asked)
        assert.equal(authorization, undefined, `${method} ${path}`);
    } finally {
      await front.close();
      await storage.close();
    }
  });

  test('a registry without a scheme is spoken to in clear only on this machine', async () => {
    const { username, password, host } = server;
    assert.deepEqual(await createRegistry({ url: host, username, password }).listTags('slipway/none'), []);
    const remote = createRegistry({ url: `registry.invalid:${server.port}`, username, password });
    const stop = AbortSignal.timeout(100);
    await assert.rejects(remote.hasBlob(repository, blobOf(noise(1)).digest, stop));
  });
});
