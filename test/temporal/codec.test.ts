import assert from 'node:assert/strict';
import { createDecipheriv, createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { defaultPayloadConverter } from '@temporalio/common';
import { TemporalConfig } from '../../contract/stack.js';
import {
  encryptionKeys,
  payloadCodec,
  Undecipherable,
  type EncryptionKeys,
  type Payload,
} from '../../platform/temporal-encryption.js';

const one = createSecretKey(randomBytes(32));
const two = createSecretKey(randomBytes(32));
const codecOf = (...keys: [string, KeyObject][]) => payloadCodec(new Map(keys));
const codec = codecOf(['one', one]);
const value = { samples: [{ input: 'the name of a patient' }], nothing: null };
const payload = defaultPayloadConverter.toPayload(value);

const encrypted = async (keys: EncryptionKeys = new Map([['one', one]])): Promise<Payload> =>
  (await payloadCodec(keys).encode([payload]))[0]!;
const read = async (from: Payload, by = codec): Promise<unknown> =>
  defaultPayloadConverter.fromPayload((await by.decode([from]))[0]!);
const textOf = ({ metadata, data }: Payload): string =>
  Buffer.concat([...Object.values(metadata ?? {}), data ?? Buffer.alloc(0)]).toString('latin1');

describe('the codec of payloads', () => {
  test('brings every value back as it was, in order, and shows nothing of it meanwhile', async () => {
    const values = [value, undefined, null, '', new Uint8Array([0, 255]), 'x'.repeat(1_000_000)];
    const payloads = values.map((each) => defaultPayloadConverter.toPayload(each));
    const kept = await codec.encode(payloads);
    for (const each of kept) assert.equal(String(each.metadata?.['encoding']), 'binary/encrypted');
    assert.doesNotMatch(textOf(kept[0]!), /patient|json/);
    const back = await codec.decode(kept);
    assert.deepEqual(
      back.map((each) => defaultPayloadConverter.fromPayload(each)),
      values,
    );
  });

  test("is laid out as Temporal's samples have it: nonce, ciphertext, tag; a new nonce each time", async () => {
    const { metadata, data } = await encrypted();
    assert.deepEqual(Object.keys(metadata!), ['encoding', 'encryption-key-id']);
    assert.equal(String(metadata!['encryption-key-id']), 'one');
    const decryption = createDecipheriv('aes-256-gcm', one, data!.subarray(0, 12));
    decryption.setAAD(Buffer.from('one')).setAuthTag(data!.subarray(-16));
    const clear = Buffer.concat([decryption.update(data!.subarray(12, -16)), decryption.final()]);
    assert.match(clear.toString('latin1'), /encoding.*json\/plain.*the name of a patient/s);
    const nonces = await Promise.all([1, 2, 3].map(async () => (await encrypted()).data!.subarray(0, 12)));
    assert.equal(new Set(nonces.map(String)).size, 3);
  });

  test('reads what is in clear, and without keys leaves it so', async () => {
    assert.deepEqual(await read(payload), value);
    const none = codecOf();
    assert.deepEqual(await none.encode([payload]), [payload]);
    assert.deepEqual(await read(payload, none), value);
    assert.deepEqual(await codec.decode([{}]), [{}]);
  });

  test('encrypts with the first key, and reads what any of them has encrypted', async () => {
    const old = await encrypted();
    const rotated = codecOf(['two', two], ['one', one]);
    const [fresh] = await rotated.encode([payload]);
    assert.equal(String(fresh!.metadata!['encryption-key-id']), 'two');
    assert.deepEqual(await read(old, rotated), value);
    assert.deepEqual(await read(fresh!, rotated), value);
    await assert.rejects(read(fresh!), Undecipherable);
  });

  test('says which key is missing, and where it belongs', async () => {
    const kept = await encrypted();
    for (const [keys, has] of [
      [[], 'which is not configured'],
      [[['two', two]], 'which has "two"'],
    ] as [[string, KeyObject][], string][])
      await assert.rejects(read(kept, codecOf(...keys)), {
        name: 'Undecipherable',
        message:
          'what Temporal keeps is encrypted with key "one", which this process does not have: add it to ' +
          `temporal.encryption.keys, ${has}`,
      });
  });

  test('refuses what was changed, and a key of the same name that is another', async () => {
    const kept = await encrypted();
    const changedAt = (at: number): Payload => {
      const data = Buffer.from(kept.data!);
      data.writeUInt8(data.at(at)! ^ 1, at < 0 ? data.length + at : at);
      return { ...kept, data };
    };
    const renamed = { ...kept.metadata, 'encryption-key-id': Buffer.from('alias') };
    // The same key under both names: only that the name is authenticated tells.
    const both = codecOf(['one', one], ['alias', one]);
    const cases: [string, Payload, typeof codec][] = [
      ['nonce', changedAt(0), codec],
      ['ciphertext', changedAt(20), codec],
      ['tag', changedAt(-1), codec],
      ['shortened', { ...kept, data: kept.data!.subarray(0, -1) }, codec],
      ['nothing', { ...kept, data: new Uint8Array() }, codec],
      ['key id', { ...kept, metadata: renamed }, both],
      ['key', kept, codecOf(['one', two])],
    ];
    for (const [what, changed, by] of cases)
      await assert.rejects(read(changed, by), /^Undecipherable: decrypting .* with key "(one|alias)" /, what);
  });

  test('fails in one line: a worker says it at each attempt', async () => {
    await assert.rejects(read(await encrypted(), codecOf()), ({ stack }: Error) => !stack!.includes('\n'));
  });
});

describe('the key of a payload', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-keys-'));
  });
  after(() => rm(folder, { recursive: true }));

  const nowhere = { address: '', namespace: '', taskQueue: '', ui: '' };
  const keysOf = async (content: string, mode: number): Promise<EncryptionKeys> => {
    const file = join(folder, 'key');
    await writeFile(file, content);
    await chmod(file, mode);
    return await keysIn(file);
  };
  const keysIn = (file: string): Promise<EncryptionKeys> =>
    encryptionKeys({ ...nowhere, encryption: { keys: [{ id: '2026', file }] } });

  test('is read from a file of its owner, or of the group of a pod', async () => {
    for (const mode of [0o600, 0o400, 0o440]) {
      const keys = await keysOf(`${one.export().toString('base64')}\n`, mode);
      assert.deepEqual([...keys.keys()], ['2026']);
      assert.deepEqual(keys.get('2026')!.export(), one.export());
    }
  });

  test('that cannot be used is named with its file, and what is in it is not', async () => {
    const good = one.export().toString('base64');
    const cases: [string, number, RegExp][] = [
      [good, 0o644, /"2026" in ".*key": all may read it, .* \(644\); make it 600 or 440$/],
      [good, 0o660, /\(660\)/],
      [randomBytes(16).toString('base64'), 0o600, /"2026" in ".*key" is not 32 bytes in base64; /],
      ['not-a-key-at-all', 0o600, /is not 32 bytes in base64; "openssl rand -base64 32" makes one$/],
      [`${good}\n${good}`, 0o600, /is not 32 bytes/],
    ];
    for (const [content, mode, expected] of cases)
      await assert.rejects(keysOf(content, mode), ({ message }: Error) => {
        assert.match(message, /^temporal\.encryption\.keys: key "2026"/);
        assert.match(message, expected);
        assert.ok(!message.includes(content.slice(0, 8)), message);
        return true;
      });
    await assert.rejects(keysIn('/not/there'), /key "2026" in "\/not\/there": ENOENT/);
  });

  test('has a name of its own', () => {
    const parsed = (...ids: string[]) =>
      TemporalConfig.safeParse({
        ...{ address: '', namespace: '', ui: '' },
        encryption: { keys: ids.map((id) => ({ id, file: '/k' })) },
      });
    assert.ok(parsed('2026-01', 'b_2').success);
    assert.match(parsed('a', 'a').error!.message, /must have each id once/);
    assert.match(parsed('a b').error!.message, /must be at most 63 letters/);
    assert.equal(parsed().success, false);
  });
});
