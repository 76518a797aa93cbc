import { Context } from '@temporalio/activity';
import type { Effect, JournalEntry } from '../contract/journal.js';
import type { Grant } from '../contract/pipeline.js';
import { messageOf } from '../contract/errors.js';
import { milliseconds } from '../contract/quantities.js';
import { keepEvidence } from '../platform/evidence.js';
import { cleanupBuild } from '../platform/images/source-image.js';
import { targetOf, type Platform } from '../platform/open.js';
import { retainImages, withdrawUnlessNamed } from '../platform/retention.js';
import { persist, type Watch } from './attend.js';
import { untilAcknowledged } from './route.js';

/** Attempts after which a failed container is removed although its logs cannot be kept. */
const evidenceAttempts = 6;

/** Undo: takes one journaled effect back. Each is idempotent and fine with an effect that never came about. */
export const undoActivities = (platform: Platform) => ({
  /** Answers what people should know of it: what somebody had changed by hand, and was put back. */
  undoEffect: (grant: Grant, entry: JournalEntry): Promise<string[]> =>
    persist(async (watch) => {
      const notes = await takeBack(platform, grant, entry, watch);
      await platform.catalog.markUndone(entry.id);
      return notes ?? [];
    }),
});

async function takeBack(
  platform: Platform,
  grant: Grant,
  entry: JournalEntry,
  watch: Watch,
): Promise<string[] | void> {
  const { catalog, stack, builder } = platform;
  const { effect } = entry;
  switch (effect.kind) {
    case 'build':
      // Without a builder there is none that it could be on.
      return builder === null ? undefined : await cleanupBuild(builder, effect.tag);
    case 'tag':
      return await withdrawUnlessNamed(platform, grant, effect);
    case 'manifest':
      await withdrawUnlessNamed(platform, grant, effect);
      return await retainImages(platform, effect.repository, entry);
    case 'replica':
      await keepLastWords(platform, grant, effect);
      return await targetOf(platform, effect.target).remove(effect, milliseconds(stack.drain));
    case 'traffic':
      return await restoreTraffic(platform, grant, effect, watch);
    case 'route': {
      const route = await catalog.unshift(entry);
      // The replicas are undone next: no gateway may send requests to them any more.
      const { version } = route ?? (await catalog.routes());
      return await untilAcknowledged(catalog, version, watch);
    }
  }
}

/** Live replicas have the target's own traffic again before the route goes back to them. */
async function restoreTraffic(
  platform: Platform,
  grant: Grant,
  { target, before }: Extract<Effect, { kind: 'traffic' }>,
  watch: Watch,
): Promise<string[]> {
  const notes = await targetOf(platform, target).restore(grant, before, watch);
  if (notes.length > 0)
    await platform.catalog.audit({
      service: grant.service,
      actor: grant.deployment.workflowId,
      action: 'drift',
      details: { notes },
    });
  return notes;
}

/** Keeps a replica's last words with the deployment, also when it failed long after it had started. */
async function keepLastWords(
  platform: Platform,
  grant: Grant,
  replica: Extract<Effect, { kind: 'replica' }>,
): Promise<void> {
  try {
    const text = await targetOf(platform, replica.target).evidence(replica);
    if (text === '') return;
    await keepEvidence(platform.storage, grant.deployment, replica.name, text);
  } catch (error) {
    if (Context.current().info.attempt < evidenceAttempts) throw error;
    Context.current().log.warn(`keeping the logs of "${replica.name}": ${messageOf(error)}`);
  }
}
