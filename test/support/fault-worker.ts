import { existsSync } from 'node:fs';
import { appendFile, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Activities } from '../../activities/index.js';
import { loadStack } from '../../platform/stack.js';
import { runWorker } from '../../workers/run.js';
import type { Faults } from './faults.js';

/**
 * A worker over the real platform whose activities can be held and made to lose their replies; run as a process
 * of its own, so that it can be killed. `SLIPWAY_FAULTS` (JSON) says which, `SLIPWAY_FAULTS_DIR` is where it
 * reports and is told.
 */
const faults = JSON.parse(process.env['SLIPWAY_FAULTS'] ?? '{}') as Faults;
const folder = process.env['SLIPWAY_FAULTS_DIR']!;

const wrap = (activities: Activities): Activities =>
  Object.fromEntries(
    Object.entries(activities).map(([name, activity]) => [
      name,
      async (...args: unknown[]): Promise<unknown> => {
        const { attempt } = Context.current().info;
        if (attempt === 1 && includes(faults.holdBefore, name)) await hold(name);
        const result = await (activity as (...args: unknown[]) => Promise<unknown>)(...args);
        if (attempt === 1 && includes(faults.holdAfter, name)) await hold(name);
        if (attempt === 1 && (faults.loseFirstReply === 'all' || faults.loseFirstReply === name)) {
          await appendFile(`${folder}/lost`, `${name}\n`);
          throw ApplicationFailure.retryable(`the reply of ${name} was lost`, 'Lost');
        }
        return result;
      },
    ]),
  ) as Activities;

const includes = (names: readonly string[] = [], name: string): boolean => names.includes(name);

/** Reports that it is here, and stays until told to go on, or cancelled, or killed. */
async function hold(name: string): Promise<void> {
  const context = Context.current();
  await writeFile(`${folder}/held-${name}`, '');
  while (!existsSync(`${folder}/go`) && !existsSync(`${folder}/go-${name}`)) {
    context.heartbeat();
    await Promise.race([delay(100), context.cancelled]);
  }
}

await runWorker(await loadStack(), {
  onReady: () => writeFile(`${folder}/ready`, String(process.pid)),
  wrap,
});
