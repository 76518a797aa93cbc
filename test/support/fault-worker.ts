import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { appendFile, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Activities } from '../../activities/index.js';
import { loadStack } from '../../platform/stack.js';
import { runWorker } from '../../workers/run.js';
import type { Faults } from './faults.js';

/**
 * A worker over the real platform whose activities can be held and made to lose their replies; run as a process
 * of its own, so that it can be killed. `SLIPWAY_FAULTS_DIR` is where it is told which (`faults.json`, read anew for
 * each attempt) and where it reports; `SLIPWAY_FAULTS_TEMPORAL` and `SLIPWAY_FAULTS_REGISTRY` are other ways to
 * these than the stack's.
 */
const folder = process.env['SLIPWAY_FAULTS_DIR']!;
const faultsNow = (): Faults => JSON.parse(readFileSync(`${folder}/faults.json`, 'utf8')) as Faults;

const wrap = (activities: Activities): Activities =>
  Object.fromEntries(
    Object.entries(activities).map(([name, activity]) => [
      name,
      async (...args: unknown[]): Promise<unknown> => {
        const { attempt } = Context.current().info;
        if (attempt === 1 && includes(faultsNow().holdBefore, name)) await hold(name);
        const result = await (activity as (...args: unknown[]) => Promise<unknown>)(...args).catch(
          async (error: unknown) => {
            await appendFile(`${folder}/failed`, `${name}: ${String(error).replaceAll('\n', ' ')}\n`);
            throw error;
          },
        );
        if (attempt !== 1) return result;
        const { holdAfter, loseFirstReply } = faultsNow();
        if (includes(holdAfter, name)) await hold(name);
        if (loseFirstReply === 'all' || loseFirstReply === name) {
          await appendFile(`${folder}/lost`, `${name}\n`);
          throw ApplicationFailure.retryable(`the reply of ${name} was lost`, 'Lost');
        }
        return result;
      },
    ]),
  ) as Activities;

const includes = (names: readonly string[] = [], name: string): boolean => names.includes(name);

/** Reports that it is here, and stays until what it has reported is removed, or it is cancelled or killed. */
async function hold(name: string): Promise<void> {
  const context = Context.current();
  const { workflowExecution, activityId } = context.info;
  const report = `${folder}/held-${name}-${workflowExecution?.runId}-${activityId}`;
  // At once: whoever lets go looks for reports after having changed the faults.
  writeFileSync(report, '');
  while (existsSync(report)) {
    context.heartbeat();
    await Promise.race([delay(100), context.cancelled]);
  }
}

const stack = await loadStack();
const address = process.env['SLIPWAY_FAULTS_TEMPORAL'] ?? stack.temporal.address;
const url = process.env['SLIPWAY_FAULTS_REGISTRY'] ?? stack.registry.url;
await runWorker(
  { ...stack, temporal: { ...stack.temporal, address }, registry: { ...stack.registry, url } },
  { onReady: () => writeFile(`${folder}/ready`, String(process.pid)), wrap },
);
