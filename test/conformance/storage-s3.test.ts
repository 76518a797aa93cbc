import { s3Storage } from '../../platform/storage/s3.js';
import { TestStore } from '../storage/store.js';
import { conformsToStorage } from './storage/index.js';

const open = (versions: boolean) => async () => {
  const store = await TestStore.open({ versions });
  return {
    storage: store.storage,
    another: () => s3Storage(store.direct),
    close: () => store.close(),
  };
};

conformsToStorage('the storage in S3', open(true), { versions: true });
conformsToStorage('the storage in S3, in a bucket that keeps no versions', open(false), { versions: false });
