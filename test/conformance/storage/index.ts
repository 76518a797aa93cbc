import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { ArtifactKind } from '../../../contract/api.js';
import type { ObjectVersion } from '../../../contract/pipeline.js';
import { artifactKey, type Storage } from '../../../platform/storage/index.js';

/** An empty storage that nobody else uses. */
export type Opened = {
  storage: Storage;
  /** The same one as another process opens it. */
  another: () => Storage;
  /** Nothing is left. */
  close(): Promise<void>;
};

/** What every `Storage` promises; `open` makes an empty one. `versions`: it keeps what was replaced. */
export const conformsToStorage = (
  name: string,
  open: () => Promise<Opened>,
  { versions }: { versions: boolean },
): unknown =>
  describe(name, () => {
    let opened: Opened;
    let storage: Storage;
    /** One that no other test uses. */
    let model: string;
    let models = 0;
    before(async () => {
      opened = await open();
      ({ storage } = opened);
    });
    after(async () => await opened?.close());
    beforeEach(() => (model = `iris-${(models += 1)}`));

    const put = (bytes: string | Buffer, kind: ArtifactKind = 'weights', named = '20260101') =>
      storage.put(artifactKey(model, kind, named), Buffer.from(bytes));
    const read = async (...args: Parameters<Storage['read']>) => await text(await storage.read(...args));
    const key = () => artifactKey(model, 'weights', '20260101');

    test('what is stored is there for everybody, as it is', async () => {
      assert.equal(await storage.stat(key()), null);
      const stored = await put('some');
      assert.equal(stored.key, key());
      assert.equal(stored.size, 4);
      assert.equal(stored.versionId !== undefined, versions);
      const other = opened.another();
      assert.deepEqual(await other.stat(key()), stored);
      assert.deepEqual(await other.listUnder(`${model}/`), [stored]);
      assert.equal(await text(await other.read(stored)), 'some');
    });

    test('a stream is stored like bytes that are there', async () => {
      const bytes = randomBytes(3_000_000);
      const parts = [bytes.subarray(0, 1_000_000), bytes.subarray(1_000_000)];
      const stored = await storage.put(key(), Readable.from(parts), bytes.length);
      assert.equal(stored.size, bytes.length);
      assert.ok((await buffer(await storage.read(stored))).equals(bytes));
      const failing = Readable.from(
        (async function* () {
          yield parts[0];
          throw new Error('the disk is gone');
        })(),
      );
      await assert.rejects(storage.put(key(), failing, bytes.length));
      assert.deepEqual(await storage.stat(key()), stored);
    });

    test('a version can be read in part', async () => {
      const pinned = await put('0123456789');
      assert.equal(await read(pinned, { start: 3 }), '3456789');
      assert.equal(await read(pinned, { start: 2, end: 4 }), '234');
      assert.equal(await read(pinned, { start: 8, end: 99 }), '89');
      assert.equal(await read(pinned, { start: 10 }), '');
      assert.equal(await read(await put('')), '');
    });

    test('reading it is cancelled before it has begun', async () => {
      const pinned = await put('some');
      await assert.rejects(
        async () => await read(pinned, undefined, AbortSignal.abort(new Error('cancelled'))),
        /cancelled/,
      );
    });

    test('overwritten, a version is read as it was, or not at all', async () => {
      const pinned = await put('first');
      const now = await put('other');
      assert.deepEqual(await storage.stat(key()), now);
      assert.equal(await read(now), 'other');
      if (versions) assert.equal(await read(pinned), 'first');
      else await assert.rejects(read(pinned), { type: 'Conflict', message: /20260101\.zip.*overwritten/ });
    });

    test('deleted, it is said to be gone', async () => {
      const pinned = await put('gone');
      await storage.remove(pinned);
      assert.equal(await storage.stat(key()), null);
      await assert.rejects(read(pinned), { type: 'NotFound', message: /20260101\.zip.*deleted/ });
    });

    test('only this version is removed, as often as one likes', async () => {
      const first = await put('first');
      const second = await put('second');
      for (let times = 0; times < 2; times += 1) {
        await storage.remove(first);
        assert.deepEqual(await storage.stat(key()), second);
      }
      assert.equal(await read(second), 'second');
      for (let times = 0; times < 2; times += 1) await storage.remove(second);
      assert.equal(await storage.stat(key()), null);
    });

    test('what it had replaced is current again, where it was kept', async () => {
      const first = await put('first');
      const second = await put('second');
      for (let times = 0; times < 2; times += 1) {
        await storage.remove(second);
        assert.deepEqual(await storage.stat(key()), versions ? first : null);
      }
    });

    test('weights are listed newest first, without names that are not dates, each once', async () => {
      for (const name of ['20251231', '20260230', '20260115', 'notes']) await put(name, 'weights', name);
      await put('newer', 'weights', '20251231');
      const gone = await put('gone', 'weights', '20260120');
      await storage.remove(gone);
      const listed = await storage.list(model, 'weights');
      assert.deepEqual(
        listed.map(({ name, kind, model: of }) => [of, kind, name]),
        ['20260115', '20251231'].map((name) => [model, 'weights', name]),
      );
      for (const { object } of listed) assert.deepEqual(object, await storage.stat(object.key));
    });

    test('a source is listed by the name of its model, and no model has what another has', async () => {
      await put('mine', 'source', model);
      await put('old', 'source', 'other');
      await storage.put(artifactKey(`${model}-more`, 'source', `${model}-more`), Buffer.from('theirs'));
      const listed = await storage.list(model, 'source');
      assert.deepEqual(
        listed.map(({ name }) => name),
        [model],
      );
      assert.deepEqual(await storage.list(model, 'weights'), []);
      assert.deepEqual(await storage.list(`${model}-none`, 'source'), []);
    });

    test('objects are listed by key, those that are current', async () => {
      const named = (name: string) => storage.put(`${model}/${name}`, Buffer.from(name));
      const stored: ObjectVersion[] = [];
      for (const name of ['b', 'a/2', 'a/10', 'a.txt']) stored.push(await named(name));
      await storage.remove(await named('c'));
      const byKey = stored.toSorted((one, other) => (one.key < other.key ? -1 : 1));
      assert.deepEqual(await storage.listUnder(`${model}/`), byKey);
      assert.deepEqual(
        (await storage.listUnder(`${model}/a/`)).map(({ key: at }) => at),
        [`${model}/a/10`, `${model}/a/2`],
      );
      assert.deepEqual(await storage.listUnder(`${model}/nothing`), []);
    });
  });
