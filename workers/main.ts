import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadStack, slipwayHome } from '../platform/stack.js';
import { serveMetrics } from './metrics.js';
import { runWorker } from './run.js';
import { workerVersion } from './version.js';

/** Says to `slipway up` that the worker polls. */
const ready = join(slipwayHome(), 'run', 'worker.ready');

// One that was killed had no time to.
await rm(ready, { force: true });
try {
  const stack = await loadStack();
  if (stack.workerMetrics) serveMetrics(stack.workerMetrics);
  await runWorker(stack, {
    version: workerVersion(process.env),
    onReady: async () => {
      await mkdir(join(slipwayHome(), 'run'), { recursive: true });
      await writeFile(ready, String(process.pid));
    },
  });
} finally {
  await rm(ready, { force: true });
}
