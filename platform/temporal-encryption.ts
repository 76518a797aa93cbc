import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  randomBytes,
  type CipherGCMTypes,
  type KeyObject,
} from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { parse } from 'protobufjs';
import { messageOf, SlipwayError } from '../contract/errors.js';
import type { TemporalConfig } from '../contract/stack.js';

/** Keys by their ids; the first encrypts. Empty: nothing is encrypted. */
export type EncryptionKeys = ReadonlyMap<string, KeyObject>;

/** A value as it travels to Temporal and is kept there. */
export type Payload = {
  metadata?: Record<string, Uint8Array> | null;
  data?: Uint8Array | null;
};

/** What stands between Temporal and everything that is sent to it and read from it: the SDK's `PayloadCodec`. */
export type Codec = {
  encode(payloads: Payload[]): Promise<Payload[]>;
  decode(payloads: Payload[]): Promise<Payload[]>;
};

/** A payload that this process cannot read: its key is missing or another one, or it was changed. */
export class Undecipherable extends Error {
  override readonly name = 'Undecipherable';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    // It is told each time that a worker tries: where in the code says nothing more.
    this.stack = `${this.name}: ${message}`;
  }
}

/**
 * Reads the keys of `temporal.encryption`. Throws `NotFound` or `InvalidInput` naming the key and its file, never what is
 * in it.
 */
export async function encryptionKeys({ encryption }: TemporalConfig): Promise<EncryptionKeys> {
  const read = encryption?.keys.map(async ({ id, file }) => [id, await readKey(id, file)] as const);
  return new Map(await Promise.all(read ?? []));
}

/**
 * Encrypts whole payloads by AES-256-GCM and decrypts them, in the form of Temporal's published samples: `data` is nonce,
 * ciphertext and tag, and `encryption-key-id` says which key. That id is authenticated with it. What is in clear is left
 * so when it is read. Without keys it only says which one is missing.
 */
export function payloadCodec(keys: EncryptionKeys): Codec {
  const [first] = keys;
  return {
    encode: (payloads) =>
      Promise.resolve(first ? payloads.map((payload) => encrypt(payload, ...first)) : payloads),
    // A promise, so that what it throws is a rejection.
    decode: async (payloads) => await Promise.resolve(payloads.map((payload) => decrypt(payload, keys))),
  };
}

/** https://github.com/temporalio/api/blob/master/temporal/api/common/v1/message.proto */
const schema = 'syntax = "proto3"; message Payload { map<string, bytes> metadata = 1; bytes data = 2; }';
const Message = parse(schema).root.lookupType('Payload');

const encoding = 'binary/encrypted';
const cipher: CipherGCMTypes = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;

function encrypt(payload: Payload, id: string, key: KeyObject): Payload {
  // Random ones may repeat after some 2^32 payloads with one key.
  const nonce = randomBytes(nonceBytes);
  const encryption = createCipheriv(cipher, key, nonce).setAAD(Buffer.from(id));
  const ciphertext = [encryption.update(Message.encode(payload).finish()), encryption.final()];
  return {
    metadata: { encoding: Buffer.from(encoding), 'encryption-key-id': Buffer.from(id) },
    data: Buffer.concat([nonce, ...ciphertext, encryption.getAuthTag()]),
  };
}

function decrypt(payload: Payload, keys: EncryptionKeys): Payload {
  const { metadata, data } = payload;
  if (text(metadata?.['encoding']) !== encoding) return payload;
  const id = text(metadata?.['encryption-key-id']);
  const key = keys.get(id);
  if (!key) {
    const known = [...keys.keys()].map((known) => `"${known}"`).join(', ');
    throw new Undecipherable(
      `what Temporal keeps is encrypted with key "${id}", which this process does not have: add it to ` +
        `temporal.encryption.keys, ${known ? `which has ${known}` : 'which is not configured'}`,
    );
  }
  try {
    const [nonce, ciphertext, tag] = parts(data ?? new Uint8Array());
    const decryption = createDecipheriv(cipher, key, nonce, { authTagLength: tagBytes });
    decryption.setAAD(Buffer.from(id)).setAuthTag(tag);
    return Message.decode(Buffer.concat([decryption.update(ciphertext), decryption.final()])) as Payload;
  } catch (cause) {
    throw new Undecipherable(
      `decrypting what Temporal keeps with key "${id}" of temporal.encryption.keys failed: ` +
        'its file holds another key than the one that encrypted, or what is kept was changed',
      { cause },
    );
  }
}

const parts = (data: Uint8Array): [Uint8Array, Uint8Array, Uint8Array] => [
  data.subarray(0, nonceBytes),
  data.subarray(nonceBytes, -tagBytes),
  data.subarray(-tagBytes),
];

const text = (bytes: Uint8Array | undefined): string => (bytes ? Buffer.from(bytes).toString() : '');

async function readKey(id: string, file: string): Promise<KeyObject> {
  const what = `temporal.encryption.keys: key "${id}" in "${file}"`;
  let handle: FileHandle | undefined;
  try {
    handle = await open(file);
    const { mode } = await handle.stat();
    // The group may be that of a pod, which mounted Secrets belong to.
    if (mode & 0o027)
      throw new SlipwayError(
        'InvalidInput',
        `${what}: all may read it, or the group may write it (${(mode & 0o777).toString(8)}); make it 600 or 440`,
      );
    const line = (await handle.readFile('latin1')).trim();
    if (!/^[A-Za-z0-9+/]{43}=$/.test(line))
      throw new SlipwayError(
        'InvalidInput',
        `${what} is not 32 bytes in base64; "openssl rand -base64 32" makes one`,
      );
    return createSecretKey(line, 'base64');
  } catch (cause) {
    if (cause instanceof SlipwayError) throw cause;
    throw new SlipwayError('NotFound', `${what}: ${messageOf(cause)}`, {}, { cause });
  } finally {
    await handle?.close();
  }
}
