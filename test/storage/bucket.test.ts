import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { Refused } from '../../contract/errors.js';
import { connectS3 } from '../../platform/storage/connection.js';
import { s3Storage } from '../../platform/storage/s3.js';
import { testS3 } from './store.js';

describe('the bucket that models lie in', () => {
  const fresh = async () => ({ ...(await testS3()), bucket: `t-${randomBytes(6).toString('hex')}` });
  const versions = async (config: Awaited<ReturnType<typeof fresh>>) =>
    (await connectS3(config).client.getBucketVersioning(config.bucket)).Status;

  test('it is made where it is missing, and keeps versions; twice is fine', async () => {
    const config = await fresh();
    await s3Storage(config).prepare();
    await s3Storage(config).prepare();
    assert.equal(await versions(config), 'Enabled');
  });

  test('one that is there without versions gets them, and keeps what lies in it', async () => {
    const config = await fresh();
    const { client } = connectS3(config);
    await client.makeBucket(config.bucket);
    const stored = await s3Storage(config).put('iris/src/iris.zip', Buffer.from('x'));
    await s3Storage(config).prepare();
    assert.equal(await versions(config), 'Enabled');
    assert.deepEqual(await s3Storage(config).stat('iris/src/iris.zip'), stored);
  });

  test('a key that may not is refused, and told which bucket and where', async () => {
    const config = { ...(await fresh()), secretKey: 'not-the-secret' };
    await assert.rejects(s3Storage(config).prepare(), (error: Error) => {
      assert.ok(error instanceof Refused, String(error));
      for (const part of [config.bucket, config.endpoint])
        assert.ok(error.message.includes(part), error.message);
      assert.ok(!error.message.includes('not-the-secret'));
      return true;
    });
  });
});
