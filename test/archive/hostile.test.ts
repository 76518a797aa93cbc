import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import type { ArchiveLimits } from '../../contract/stack.js';
import { resolveArtifact } from '../../platform/archive/artifacts.js';
import { TestStore } from '../storage/store.js';
import { rawZip, type RawEntry } from './zips.js';

const fine: RawEntry = { name: 'fine.txt' };
const zeros = Buffer.alloc(8 << 20);

describe('a hostile archive', () => {
  let store: TestStore;
  before(async () => void (store = await TestStore.open()));
  after(() => store.close());

  /** Entries, the entry that the refusal must name, and what it must say. */
  const refused: [string, RawEntry[], string | null, RegExp, Partial<ArchiveLimits>?][] = [
    ['with a path that leaves it', [fine, { name: '../evil' }], '../evil', /escapes the archive/],
    ['with ".." inside a path', [{ name: 'a/../../evil' }], 'a/../../evil', /escapes the archive/],
    ['with an absolute path', [{ name: '/etc/passwd' }], '/etc/passwd', /absolute path/],
    ['with a drive letter', [{ name: 'C:/evil' }], 'C:/evil', /drive letter/],
    ['with a backslash', [{ name: 'a\\..\\evil' }], 'a\\..\\evil', /backslash/],
    ['with a control character in a name', [{ name: 'a\nb' }], 'a\nb', /control character/],
    ['with a NUL in a name', [{ name: 'a\0b' }], 'a\0b', /control character/],
    ['with a name that is not UTF-8', [{ name: Buffer.from([0x61, 0xff]) }], 'a\ufffd', /not UTF-8/],
    ['with a name that is too long', [{ name: 'n'.repeat(256) }], 'n'.repeat(256), /longer than 255/],
    ['with no name', [{ name: './', content: Buffer.alloc(0) }, { name: '.' }], '.', /no name/],
    ['with a symbolic link', [{ name: 'link', mode: 0o120777 }], 'link', /symbolic link/],
    ['with a device', [{ name: 'dev', mode: 0o060600 }], 'dev', /device/],
    ['with a named pipe', [{ name: 'pipe', mode: 0o010600 }], 'pipe', /named pipe/],
    ['with a folder in disguise', [{ name: 'folder', mode: 0o040755 }], 'folder', /folder without/],
    ['with a folder that has bytes', [{ name: 'folder/' }], 'folder/', /bytes of its own/],
    ['with a name twice', [fine, fine], 'fine.txt', /twice/],
    ['with a name twice, spelled differently', [{ name: 'a/b' }, { name: './a//b' }], 'a/b', /twice/],
    [
      'with a name twice, composed differently',
      [{ name: '\u00e9' }, { name: 'e\u0301' }],
      'e\u0301',
      /twice/,
    ],
    [
      'with a file that is a folder too',
      [{ name: 'a' }, { name: 'a/b' }],
      'a/b',
      /lies in "a", which is a file/,
    ],
    [
      'with a file and a folder of one name',
      [{ name: 'a' }, { name: 'a/', content: Buffer.alloc(0) }],
      'a',
      /file and a folder/,
    ],
    ['with a stored file whose sizes differ', [{ name: 'lie', size: 100 }], 'lie', /7 bytes are to be 100/],
    ['that is encrypted', [{ name: 'secret', flags: 0x801 }], 'secret', /encrypted/],
    ['packed in an unknown way', [{ name: 'odd', method: 12 }], 'odd', /method 12/],
    ['with entries that share bytes', [fine, { name: 'again', shares: 0 }], 'again', /overlaps/],
    ['whose headers disagree about a name', [{ name: 'good', localName: 'evil' }], 'good', /called "evil"/],
    ['with damaged bytes', [{ name: 'bad', crc: 1 }], 'bad', /checksum/],
    [
      'with damaged packed bytes',
      [{ name: 'bad', method: 8, packed: Buffer.from('not deflate') }],
      'bad',
      /damaged/,
    ],
    [
      'with packed bytes cut short',
      [{ name: 'bad', method: 8, packed: deflateRawSync(randomBytes(9000)).subarray(0, 4000), size: 9000 }],
      'bad',
      /damaged|unpacks to/,
    ],
    [
      'with bytes hidden behind packed ones',
      [
        {
          name: 'two',
          method: 8,
          packed: Buffer.concat([deflateRawSync(Buffer.from('content')), Buffer.from('more')]),
        },
      ],
      'two',
      /bytes after its end/,
    ],
    [
      'that unpacks to more than it says',
      [{ name: 'bomb', method: 8, packed: deflateRawSync(zeros), size: 900_000 }],
      'bomb',
      /more than the 900000 bytes it says/,
    ],
    [
      'that unpacks to less than it says',
      [{ name: 'less', method: 8, content: Buffer.from('short'), size: 9 }],
      'less',
      /instead of the 9/,
    ],
    ['that is a bomb by its ratio', [{ name: 'bomb', method: 8, content: zeros }], 'bomb', /times its size/],
    [
      'with an entry bigger than allowed',
      [{ name: 'big', content: Buffer.alloc(2000) }],
      'big',
      /more than the 1000/,
      { maxTotalBytes: 1000 },
    ],
    [
      'bigger in all than allowed',
      [
        { name: 'a', content: Buffer.alloc(600) },
        { name: 'b', content: Buffer.alloc(600) },
      ],
      'b',
      /more than 1000 bytes in all/,
      { maxTotalBytes: 1000 },
    ],
    [
      'with more entries than allowed',
      [{ name: 'a' }, { name: 'b' }, { name: 'c' }],
      null,
      /3 entries, more than the 2/,
      { maxEntries: 2 },
    ],
    ['without files', [{ name: 'folder/', content: Buffer.alloc(0) }], null, /no files/],
    ['without anything', [], null, /no files/],
  ];

  let number = 0;
  for (const [kind, entries, entry, reason, limits] of refused)
    test(`${kind} is refused by name, and nothing of it is kept`, async () => {
      const model = `model${number++}`;
      await store.put(model, 'weights', '20260101', rawZip(entries));
      const cached = await store.cached();
      await assert.rejects(resolve(model, limits), (error: Error & { type: string; details: object }) => {
        assert.equal(error.type, 'InvalidInput', String(error.stack));
        const key = `${model}/model/20260101.zip`;
        assert.deepEqual(error.details, entry === null ? { archive: key } : { archive: key, entry });
        assert.ok(error.message.startsWith(`archive "${key}": `), error.message);
        assert.match(error.message, reason);
        return true;
      });
      assert.deepEqual(await store.cached(), cached);
      assert.deepEqual(await store.keys(`.slipway/index/${model}`), []);
    });

  test('cut short anywhere is refused', async () => {
    const whole = rawZip([
      { name: 'a', content: randomBytes(3000) },
      { name: 'b', content: randomBytes(3000) },
    ]);
    for (const length of [1, 10, 3000, whole.length - 60, whole.length - 1]) {
      await store.put('cut', 'weights', '20260101', whole.subarray(0, length));
      await assert.rejects(resolve('cut'), { type: 'InvalidInput', message: /cut short or damaged/ });
    }
  });

  test('whose directory says it has more than it has is refused', async () => {
    await store.put('count', 'weights', '20260101', rawZip([fine], { count: 2 }));
    await assert.rejects(resolve('count'), { type: 'InvalidInput', message: /cut short or damaged/ });
  });

  test('is not blamed for a storage that fails', async () => {
    await store.put('blame', 'weights', '20260101', rawZip([fine]));
    for (let times = 0; times < 60; times++)
      store.proxy.faults.push({ match: /^GET .*20260101\.zip\?/, status: 500 });
    await assert.rejects(resolve('blame'), (error: Error) => error.name !== 'SlipwayError');
    store.proxy.faults.length = 0;
    assert.equal((await resolve('blame')).files, 1);
  });

  const resolve = (model: string, limits: Partial<ArchiveLimits> = {}) =>
    resolveArtifact(store.deps(limits), { model, kind: 'weights', name: '20260101' }, store.watch());
});
