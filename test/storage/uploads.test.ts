import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { UploadSession } from '../../contract/api.js';
import { readIndex } from '../../platform/archive/artifacts.js';
import { partSizeFor } from '../../platform/storage/parts.js';
import {
  abortUpload,
  completeUpload,
  listUploads,
  putPart,
  startUpload,
} from '../../platform/storage/uploads.js';
import { zip } from '../support/models.js';
import { TestStore } from './store.js';
import { md5, sha256 } from './sums.js';

describe('an upload', () => {
  let store: TestStore;
  before(async () => void (store = await TestStore.open()));
  after(() => store.close());
  beforeEach(() => (store.proxy.requests.length = 0));

  const start = (bytes: Buffer, name = '20260101') =>
    startUpload(store.s3, { model: 'iris', kind: 'weights', name, size: bytes.length });
  const partOf = (bytes: Buffer, { partSize }: UploadSession, number: number) =>
    bytes.subarray((number - 1) * partSize, number * partSize);
  const send = (bytes: Buffer, session: UploadSession, number: number) => {
    const part = partOf(bytes, session, number);
    return putPart(store.s3, session.id, number, Readable.from([part]), md5(part, 'base64'));
  };
  /** What the CLI does: sends what is not there yet. Answers the parts sent. */
  const sendMissing = async (bytes: Buffer, session: UploadSession): Promise<number[]> => {
    const sent: number[] = [];
    for (let number = 1; (number - 1) * session.partSize < bytes.length; number++) {
      const there = session.parts.find((part) => part.number === number);
      if (there?.md5 === md5(partOf(bytes, session, number), 'hex')) continue;
      await send(bytes, session, number);
      sent.push(number);
    }
    return sent;
  };
  const complete = (session: UploadSession, bytes: Buffer) =>
    completeUpload({ ...store.deps(), s3: store.s3 }, session.id, { sha256: sha256(bytes) }, store.watch());
  /** Sizes of the uploads of a key that were begun and not ended. */
  const unfinished = async (wanted: string) =>
    (await listUploads(store.s3)).flatMap(({ key, size }) => (key === wanted ? [size] : []));
  const stored = (files: Record<string, Buffer>) => zip(files, { compress: false });

  test('becomes a validated, indexed and pinned artifact', async () => {
    const bytes = await stored({ 'a.bin': randomBytes(9_000_000), 'b.txt': Buffer.from('small') });
    const session = await start(bytes);
    assert.equal(session.partSize, 8 * 2 ** 20);
    assert.deepEqual(await sendMissing(bytes, session), [1, 2]);
    const artifact = await complete(session, bytes);
    assert.deepEqual([artifact.files, artifact.bytes], [2, 9_000_005]);
    assert.deepEqual(artifact.object, await store.storage.stat('iris/model/20260101.zip'));
    const index = await readIndex(store.storage, artifact);
    assert.equal(index.archive, sha256(bytes));
    assert.ok((await store.bytes(artifact.object)).equals(bytes));
    assert.deepEqual(await unfinished(session.key), []);
  });

  test('that was interrupted sends only what is missing', async () => {
    const bytes = await stored({ 'a.bin': randomBytes(30_000_000) });
    const first = await start(bytes, '20260102');
    await send(bytes, first, 1);
    await send(bytes, first, 3);
    store.proxy.faults.push({ match: /^PUT .*partNumber=2/, cutAfter: 0 });
    await assert.rejects(send(bytes, first, 2), /uploading part 2 of "iris\/model\/20260102\.zip"/);
    assert.deepEqual(await unfinished(first.key), [bytes.length]);
    const second = await start(bytes, '20260102');
    assert.equal(second.id, first.id);
    const sent = await sendMissing(bytes, second);
    assert.ok(!sent.includes(1) && !sent.includes(3) && sent.includes(4), `sent ${sent}`);
    assert.ok((await store.bytes((await complete(second, bytes)).object)).equals(bytes));
  });

  test('of other bytes of the same length replaces the parts that differ', async () => {
    const same = randomBytes(9_000_000);
    const bytes = await stored({ 'a.bin': same, 'b.bin': randomBytes(9_000_000) });
    const changed = await stored({ 'a.bin': same, 'b.bin': randomBytes(9_000_000) });
    await sendMissing(bytes, await start(bytes, '20260103'));
    const session = await start(changed, '20260103');
    assert.deepEqual(await sendMissing(changed, session), [2, 3]);
    assert.ok((await store.bytes((await complete(session, changed)).object)).equals(changed));
  });

  test('of another length is another upload', async () => {
    const [short, long] = [await stored({ a: randomBytes(100) }), await stored({ a: randomBytes(200) })];
    const [first, second] = [await start(short, '20260104'), await start(long, '20260104')];
    assert.notEqual(first.id, second.id);
    await sendMissing(short, first);
    await sendMissing(long, second);
    await complete(second, long);
    assert.ok((await store.bytes((await complete(first, short)).object)).equals(short));
  });

  test('refuses a part whose bytes do not match their MD5', async () => {
    const bytes = await stored({ a: randomBytes(5000) });
    const session = await start(bytes, '20260105');
    const damaged = Buffer.from(bytes);
    damaged[100]! ^= 1;
    await assert.rejects(putPart(store.s3, session.id, 1, Readable.from([damaged]), md5(bytes, 'base64')), {
      type: 'InvalidInput',
      message: /part 1 .*do not match their MD5/,
    });
    assert.deepEqual((await start(bytes, '20260105')).parts, []);
  });

  test('refuses parts that are too short, too long, or none of its own', async () => {
    const bytes = await stored({ a: randomBytes(5000) });
    const { id } = await start(bytes, '20260106');
    const put = (part: Buffer, number = 1) => putPart(store.s3, id, number, Readable.from([part]));
    await assert.rejects(put(bytes.subarray(1)), { type: 'InvalidInput', message: /instead of the/ });
    await assert.rejects(put(Buffer.concat([bytes, bytes])), {
      type: 'InvalidInput',
      message: /more than the/,
    });
    await assert.rejects(put(bytes, 2), { type: 'InvalidInput', message: /no such part/ });
    await assert.rejects(put(bytes, 0), { type: 'InvalidInput' });
    assert.deepEqual((await start(bytes, '20260106')).parts, []);
  });

  test('can not be completed while parts are missing, and goes on afterwards', async () => {
    const bytes = await stored({ a: randomBytes(20_000_000) });
    const session = await start(bytes, '20260107');
    await send(bytes, session, 2);
    await assert.rejects(complete(session, bytes), {
      type: 'InvalidInput',
      message: /2 of 3 parts are missing/,
      details: { missing: [1, 3] },
    });
    await sendMissing(bytes, await start(bytes, '20260107'));
    await complete(session, bytes);
  });

  test('completed twice answers the same, and reads nothing again', async () => {
    const bytes = await stored({ a: randomBytes(5000) });
    const session = await start(bytes, '20260108');
    await send(bytes, session, 1);
    const first = await complete(session, bytes);
    store.proxy.requests.length = 0;
    assert.deepEqual(await complete(session, bytes), first);
    assert.deepEqual(store.proxy.asked(/^GET .*20260108\.zip\?/), []);
    assert.equal((await store.keys('iris/model/20260108')).length, 1);
  });

  test('whose completion was done but not answered is found again', async () => {
    const bytes = await stored({ a: randomBytes(5000) });
    const session = await start(bytes, '20260109');
    await send(bytes, session, 1);
    store.proxy.faults.push({ match: /^POST .*20260109/, cutAfter: 0 });
    await assert.rejects(complete(session, bytes), /completing the upload/);
    const artifact = await complete(session, bytes);
    assert.ok((await store.bytes(artifact.object)).equals(bytes));
    assert.equal((await store.keys('iris/model/20260109')).length, 1);
  });

  test('of a hostile archive is refused, and what was there before is current again', async () => {
    const good = await stored({ 'a.bin': randomBytes(100) });
    const before = await store.put('iris', 'weights', '20260110', good);
    const bad = Buffer.from(
      (await stored({ 'xx/evil': Buffer.from('x') })).toString('latin1').replaceAll('xx/', '../'),
      'latin1',
    );
    const session = await start(bad, '20260110');
    await send(bad, session, 1);
    const refusal = {
      type: 'InvalidInput',
      message: 'archive "iris/model/20260110.zip": entry "../evil": escapes the archive with ".."',
      details: { archive: 'iris/model/20260110.zip', entry: '../evil' },
    };
    await assert.rejects(complete(session, bad), refusal);
    assert.deepEqual(await store.storage.stat(before.key), before);
    await assert.rejects(complete(session, bad), refusal);
    assert.deepEqual(await store.storage.stat(before.key), before);
    assert.deepEqual(await unfinished(session.key), []);
  });

  test('whose sha256 is not the announced one is refused', async () => {
    const bytes = await stored({ 'a.bin': randomBytes(100) });
    const session = await start(bytes, '20260111');
    await send(bytes, session, 1);
    await assert.rejects(complete(session, Buffer.from('other')), {
      type: 'InvalidInput',
      message: /announced/,
    });
    assert.equal(await store.storage.stat(session.key), null);
  });

  test('of the same name may be made anew after it was completed', async () => {
    const files = { a: randomBytes(5000) };
    const bytes = await stored(files);
    const changed = await stored({ a: randomBytes(5000) });
    for (const content of [bytes, changed]) {
      const session = await start(content, '20260112');
      assert.deepEqual(session.parts, []);
      await send(content, session, 1);
      await complete(session, content);
    }
    assert.ok((await store.bytes((await store.storage.stat('iris/model/20260112.zip'))!)).equals(changed));
  });

  test('that is given up leaves nothing behind', async () => {
    const before = await store.keys();
    const bytes = await stored({ a: randomBytes(5000) });
    const session = await start(bytes, '20260113');
    await send(bytes, session, 1);
    await abortUpload(store.s3, session.id);
    await abortUpload(store.s3, session.id);
    assert.deepEqual(await unfinished(session.key), []);
    assert.deepEqual(await store.keys(), before);
    await assert.rejects(send(bytes, session, 1), { type: 'NotFound' });
    await assert.rejects(complete(session, bytes), { type: 'NotFound' });
  });

  test('needs a date that exists', async () => {
    await assert.rejects(start(Buffer.from('x'), '20260230'), { type: 'InvalidInput', message: /20260230/ });
  });

  test('of any size fits into the parts that S3 allows', () => {
    const gibibyte = 2 ** 30;
    assert.equal(partSizeFor(1), 8 * 2 ** 20);
    for (const size of [100 * gibibyte, 5000 * gibibyte]) assert.ok(size / partSizeFor(size) <= 10_000);
    assert.throws(() => partSizeFor(60_000 * gibibyte), { type: 'InvalidInput' });
  });
});
