import { Context } from '@temporalio/activity';
import type { JournalEntry } from '../contract/journal.js';
import type { Grant } from '../contract/pipeline.js';
import { messageOf } from '../contract/errors.js';
import { milliseconds } from '../contract/quantities.js';
import { keepEvidence } from '../platform/evidence.js';
import { cleanupBuild } from '../platform/images/source-image.js';
import type { Platform } from '../platform/open.js';
import { retainImages, withdrawUnlessNamed } from '../platform/retention.js';
import { attend, type Watch } from './attend.js';
import { untilAcknowledged } from './route.js';

/** Attempts after which a failed container is removed although its logs cannot be kept. */
const evidenceAttempts = 6;

/** Undo: takes one journaled effect back. Each is idempotent and fine with an effect that never came about. */
export const undoActivities = (platform: Platform) => ({
  undoEffect: (grant: Grant, entry: JournalEntry): Promise<void> =>
    attend(async (watch) => {
      await takeBack(platform, grant, entry, watch);
      await platform.catalog.markUndone(entry.id);
    }),
});

async function takeBack(platform: Platform, grant: Grant, entry: JournalEntry, watch: Watch): Promise<void> {
  const { catalog, targets, stack, builder } = platform;
  const { effect } = entry;
  switch (effect.kind) {
    case 'build':
      return await cleanupBuild(builder, effect.tag);
    case 'tag':
      return await withdrawUnlessNamed(platform, grant, effect);
    case 'manifest':
      await withdrawUnlessNamed(platform, grant, effect);
      return await retainImages(platform, effect.repository, entry);
    case 'replica':
      await keepLastWords(platform, grant, effect);
      return await targets.docker.remove(effect, milliseconds(stack.drain));
    case 'route': {
      const route = await catalog.unshift(entry);
      // The replicas are undone next: no gateway may send requests to them any more.
      const { version } = route ?? (await catalog.routes());
      return await untilAcknowledged(catalog, version, watch);
    }
  }
}

/** Keeps a replica's last words with the deployment, also when it failed long after it had started. */
async function keepLastWords(
  { targets, storage }: Platform,
  grant: Grant,
  replica: { node: string; name: string },
): Promise<void> {
  const text = await targets.docker.evidence(replica);
  if (text === '') return;
  try {
    await keepEvidence(storage, grant.deployment, replica.name, text);
  } catch (error) {
    if (Context.current().info.attempt < evidenceAttempts) throw error;
    Context.current().log.warn(`keeping the logs of "${replica.name}": ${messageOf(error)}`);
  }
}
