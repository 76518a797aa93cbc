import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { ApiClient, ApiFailure } from '../../api/client.js';
import { upload } from '../../api/upload.js';
import type { UploadSession } from '../../contract/api.js';
import { FaultyProxy } from '../storage/faulty-proxy.js';
import { TestStore } from '../storage/store.js';
import { md5 } from '../storage/sums.js';
import { zip } from '../support/models.js';
import { testStack } from '../support/stack.js';
import { TestApi } from './server.js';

const part = /^PUT .*\/parts\//;

describe('uploading with the client', () => {
  let store: TestStore;
  let api: TestApi;
  /** Between client and API; it can break. */
  let line: FaultyProxy;
  let client: ApiClient;
  before(async () => {
    store = await TestStore.open();
    const cache = { path: store.cache.path, maxBytes: 2 ** 40 };
    api = await TestApi.start({ ...(await testStack()), s3: store.direct, cache });
    line = await FaultyProxy.start(new URL(api.url));
    client = new ApiClient(line.url, api.stack.token);
  });
  beforeEach(() => (line.requests.length = 0));
  after(async () => {
    await client.close();
    await line.close();
    await api.close();
    await store.close();
  });

  const save = async (name: string, bytes: Buffer): Promise<string> => {
    const file = join(store.folder, name);
    await writeFile(file, bytes);
    return file;
  };
  const weights = (model: string, file: string, date = '20260131') =>
    ({ model, kind: 'weights', file, date }) as const;
  /** A zip of so many parts of 8 MiB. */
  const large = (parts: number): Promise<Buffer> =>
    zip({ 'weights.bin': randomBytes((parts - 1) * 8 * 2 ** 20 + 1000) }, { compress: false });

  test('stores, validates, indexes and pins what is in the file, and tells how far it is', async () => {
    const bytes = await large(3);
    const seen: number[] = [];
    const stored = await upload(client, weights('whole', await save('whole.zip', bytes)), {
      onStored: (sum, size) => {
        seen.push(sum);
        assert.equal(size, bytes.length);
      },
    });
    assert.equal(stored.object.key, 'whole/model/20260131.zip');
    assert.equal(stored.files, 1);
    assert.ok((await store.bytes(stored.object)).equals(bytes));
    assert.equal(seen.length, 3);
    assert.equal(seen.at(-1), bytes.length);
    const [listed] = await client.call('listArtifacts', { params: { model: 'whole' } });
    assert.deepEqual([listed?.kind, listed?.name, listed?.size], ['weights', '20260131', bytes.length]);
  });

  test('goes on where it was interrupted, and sends only what is missing', async () => {
    const bytes = await large(6);
    const what = weights('resumed', await save('resumed.zip', bytes));
    const interrupted = new AbortController();
    const onStored = (): void => interrupted.abort(new Error('Ctrl-C'));
    await assert.rejects(upload(client, what, { onStored, signal: interrupted.signal }), /Ctrl-C/);
    line.requests.length = 0;
    let session: UploadSession | undefined;
    const stored = await upload(client, what, { onResumed: (found) => void (session = found) });
    assert.ok(session && session.parts.length >= 1);
    assert.equal(line.asked(part).length, 6 - session.parts.length);
    assert.ok((await store.bytes(stored.object)).equals(bytes));
  });

  test('sends parts that differ from what is stored again', async () => {
    const before = await large(3);
    const file = await save('changed.zip', before);
    const interrupted = new AbortController();
    const onStored = (sum: number): void => void (sum > 2 ** 24 && interrupted.abort(new Error('Ctrl-C')));
    await assert
      .rejects(upload(client, weights('changed', file), { onStored, signal: interrupted.signal }), /Ctrl-C/)
      .catch(() => undefined);
    const now = await large(3);
    assert.equal(now.length, before.length);
    const stored = await upload(client, weights('changed', await save('changed.zip', now)));
    assert.ok((await store.bytes(stored.object)).equals(now));
  });

  test('survives connections cut in the middle of parts, and lost replies to every call', async () => {
    const bytes = await large(3);
    const calls = [/^POST \S*\/uploads(?: |$)/, part, /^POST \S*\/complete(?: |$)/];
    line.faults.push(...calls.map((match) => ({ match, cutAfter: 0 })));
    const stored = await upload(client, weights('cut', await save('cut.zip', bytes)));
    assert.deepEqual(line.faults, []);
    assert.ok((await store.bytes(stored.object)).equals(bytes));
    const { length } = (await store.keys('cut/')).filter((key) => key === stored.object.key);
    assert.equal(length, 1);
  });

  test('of an archive that is refused names the entry, and leaves what was there before', async () => {
    const good = await zip({ 'a.txt': 'one' });
    const first = await upload(client, weights('refused', await save('good.zip', good)));
    // The names are as long as each other, so that the archive stays whole.
    const evil = Buffer.from(
      (await zip({ 'aa/evil.sh': 'x' })).toString('latin1').replaceAll('aa/', '../'),
      'latin1',
    );
    await assert.rejects(
      upload(client, weights('refused', await save('evil.zip', evil))),
      (error) => error instanceof ApiFailure && error.status === 400 && error.message.includes('../evil.sh'),
    );
    const [listed] = await client.call('listArtifacts', { params: { model: 'refused' } });
    assert.equal(listed?.size, good.length);
    assert.ok((await store.bytes(first.object)).equals(good));
  });

  test('refuses bytes that are not those whose digest was told', async () => {
    const params = { model: 'lying' };
    const session = await client.call('startUpload', { params, body: { kind: 'source', size: 4 } });
    const bytes = Buffer.from('abcd');
    await assert.rejects(
      client.putPart('lying', session.id, { number: 1, bytes, md5: md5(Buffer.from('abce'), 'base64') }),
      /do not match their MD5/,
    );
    await client.call('abortUpload', { params: { model: 'lying', id: session.id } });
    await client.call('abortUpload', { params: { model: 'lying', id: session.id } });
  });

  test('names a file that is not there, and sends nothing', async () => {
    await assert.rejects(upload(client, weights('none', join(store.folder, 'no.zip'))), /"[^"]*no\.zip"/);
    assert.deepEqual(line.requests, []);
  });
});
