import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { appendFile, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { loadStack } from '../../platform/stack.js';
import { runWorker } from '../../workers/run.js';
import { faulty, type FaultDesk, type Faults } from './faulty-activities.js';

/**
 * A worker over the real platform whose activities can be held and made to lose their replies; run as a process
 * of its own, so that it can be killed. `SLIPWAY_FAULTS_DIR` is where it is told which (`faults.json`, read anew for
 * each attempt) and where it reports; `SLIPWAY_FAULTS_TEMPORAL` and `SLIPWAY_FAULTS_REGISTRY` are other ways to
 * these than the stack's.
 */
const folder = process.env['SLIPWAY_FAULTS_DIR']!;
const desk: FaultDesk = {
  faults: () => JSON.parse(readFileSync(`${folder}/faults.json`, 'utf8')) as Faults,
  /** Stays until what it has reported is removed, or it is cancelled or killed. */
  async hold(name, key, cancelled, heartbeat) {
    const report = `${folder}/held-${name}-${key}`;
    // At once: whoever lets go looks for reports after having changed the faults.
    writeFileSync(report, '');
    try {
      while (existsSync(report)) {
        heartbeat();
        await Promise.race([delay(100), cancelled]);
      }
    } finally {
      rmSync(report, { force: true });
    }
  },
  lost: (name) => appendFile(`${folder}/lost`, `${name}\n`),
  failed: (line) => appendFile(`${folder}/failed`, `${line}\n`),
};

const stack = await loadStack();
const address = process.env['SLIPWAY_FAULTS_TEMPORAL'] ?? stack.temporal.address;
const url = process.env['SLIPWAY_FAULTS_REGISTRY'] ?? stack.registry.url;
await runWorker(
  { ...stack, temporal: { ...stack.temporal, address }, registry: { ...stack.registry, url } },
  {
    onReady: () => writeFile(`${folder}/ready`, String(process.pid)),
    wrap: (activities) => faulty(desk, activities),
  },
);
