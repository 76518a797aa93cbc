import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadStack, slipwayHome } from '../platform/stack.js';
import { runWorker } from './run.js';

/** Says to `slipway up` that the worker polls. */
const ready = join(slipwayHome(), 'run', 'worker.ready');

try {
  await runWorker(await loadStack(), {
    onReady: async () => {
      await mkdir(join(slipwayHome(), 'run'), { recursive: true });
      await writeFile(ready, String(process.pid));
    },
  });
} finally {
  await rm(ready, { force: true });
}
