import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { Activities } from '../../activities/index.js';
import { attend } from '../../activities/attend.js';
import { defaultTaskQueue } from '../../contract/deployment.js';
import { grantActivities } from '../../activities/grants.js';
import { perform } from '../../activities/journal.js';
import { takeoverActivities } from '../../activities/takeover.js';
import { routeActivities } from '../../activities/route.js';
import type { Effect } from '../../contract/journal.js';
import type { ImageRef } from '../../contract/names.js';
import type { Grant, Replica } from '../../contract/pipeline.js';
import type { Platform } from '../../platform/open.js';
import type { Takeover } from '../../platform/targets/index.js';
import { imageOf, spec, tagOf, type MemoryWorld } from './memory-world.js';

/**
 * The activities over a {@link MemoryWorld}: each makes and journals the effects that the real one does.
 * Grants and the shift, which need only a catalog and Temporal, are the real ones.
 */
export function memoryActivities(world: MemoryWorld, temporal: Client): Activities {
  const { catalog } = world;
  // Of the platform, these activities use the catalog alone.
  const nothing = () => Promise.resolve();
  const docker = {
    kind: 'docker',
    traffic: () => Promise.resolve(null),
    roll: nothing,
    share: nothing,
    promote: ({ set }: Takeover) => Promise.resolve(world.byHand.get(set.grant.service) ?? []),
  };
  const stack = { temporal: { taskQueue: defaultTaskQueue } };
  const platform = { catalog, stack, targets: { docker } } as unknown as Platform;
  const change = (grant: Grant, effect: Effect, act: () => unknown): Promise<void> =>
    perform(
      catalog,
      grant,
      effect,
      async () => void act(),
      () => world.takeBack(grant, { id: 0, ...grant, deployment: '', effect, state: 'done' }),
    );
  const putManifest = (grant: Grant, image: ImageRef): Promise<void> =>
    change(grant, { kind: 'manifest', key: `manifest:${image.digest}`, ...image }, () =>
      world.manifests.set(image.digest, image),
    );
  const start = async (grant: Grant, release: string, role: 'serve' | 'check', ordinal: number) => {
    const name = `slipway-${release}-${role === 'check' ? 'check' : ordinal}`;
    const { service, token } = grant;
    await change(
      grant,
      { kind: 'replica', key: `replica:${name}`, target: 'docker', node: 'local', name },
      () => world.containers.set(name, { name, service, token, release }),
    );
    return { node: 'local', name, url: `http://127.0.0.1:2000${ordinal}` } satisfies Replica;
  };
  return {
    ...grantActivities(platform, temporal),
    ...takeoverActivities(platform),
    ...routeActivities(platform),

    pin: (input) =>
      attend(async () => {
        const record = await catalog.getService(input.service);
        const live = record?.live ? await catalog.getRelease(record.live) : null;
        return {
          ...world.artifacts(input.model),
          base: imageOf('slipway-base', 'base'),
          spec: {
            ...{ ...spec, replicas: input.replicas ?? spec.replicas },
            verify: { ...spec.verify, ...input.verify, startupBudget: spec.verify.startupBudget },
          },
          recipeReason: 'k8s_api_model.py is there',
          live: live && { id: live.id, sourceDigest: live.source.digest, image: live.image },
          detail: 'pinned',
        };
      }),
    admit: (_grant, candidate) => attend(async () => world.warnings.get(candidate.model) ?? []),
    downloadSource: () => attend(async () => ({ detail: '1 file' })),
    downloadModel: () => attend(async () => ({ detail: '1 file' })),
    buildSource: (grant, { source }) =>
      attend(async () => {
        const image = world.sourceImage(source.model);
        if (world.manifests.has(image.digest))
          return { image, cached: true, detail: 'unchanged, nothing built' };
        const tag = `${grant.service}.build-${grant.token}`;
        await change(grant, { kind: 'build', key: `build:${tag}`, node: 'local', tag }, () =>
          world.builds.add(tag),
        );
        await putManifest(grant, image);
        world.builds.delete(tag);
        return { image, cached: false, detail: 'built' };
      }),
    checkSource: (grant, pinned, sourceImage) =>
      attend(async () => {
        const live = pinned.live!;
        await putManifest(
          grant,
          imageOf(pinned.source.model, 'check', sourceImage.digest, live.image.digest),
        );
        const release = `${grant.service}.r${grant.token}`;
        const { name } = await start(grant, release, 'check', 0);
        world.containers.delete(name);
        return { detail: `loads with the weights of ${live.id}` };
      }),
    pushImage: (grant, { weights }, sourceImage) =>
      attend(async () => {
        const image = imageOf(weights.model, sourceImage.digest, weights.digest);
        await putManifest(grant, image);
        return { image, detail: '1 layer' };
      }),
    publishTag: (grant, { image, weights }) =>
      attend(() => {
        const name = tagOf(image, weights.name);
        const tag = name.slice(image.repository.length + 1);
        return change(grant, { kind: 'tag', key: `tag:${tag}`, tag, ...image }, () =>
          world.tags.set(name, image),
        );
      }),
    rollout: (grant, { id, repeats, spec: { replicas: count } }) =>
      attend(async () => {
        const kept = await catalog.keptReplicas(grant.service);
        const served = kept.find(({ release, expired }) => release === repeats && !expired);
        if (served) return { replicas: served.replicas, detail: 'its replicas are still there' };
        const replicas: Replica[] = [];
        for (let ordinal = 0; ordinal < count; ordinal += 1)
          replicas.push(await start(grant, id, 'serve', ordinal));
        return { replicas, detail: `${replicas.length} of ${replicas.length} ready` };
      }),
    verify: () =>
      attend(async () => ({
        verification: { at: '2026-01-31T00:00:00.000Z', samples: [{ ok: true, latency: 1 }] },
        detail: '1 sample as expected',
      })),
    // Ends by being tried again when the step is over: the time-skipping server skips no time while an activity runs.
    analyse: async (grant, _candidate, _replicas, _strategy, { weight, until }) => {
      // That server does not say when an attempt was scheduled that is not the first.
      const { attempt, scheduledTimestampMs } = Context.current().info;
      const left = until === null ? Infinity : attempt > 1 ? 0 : until - scheduledTimestampMs;
      world.judged.push({ service: grant.service, weight, left });
      if (left > 0)
        throw ApplicationFailure.create({ message: 'it lasts', nextRetryDelay: Math.min(left, 1e9) });
    },
    undoEffect: (grant, entry) =>
      attend(async () => {
        await world.takeBack(grant, entry);
        await catalog.markUndone(entry.id);
        return [];
      }),
    tidy: (service) =>
      attend(async () => {
        await world.tidy(service);
        const [kept] = await catalog.keptReplicas(service);
        return kept && !kept.expired ? kept.remaining : null;
      }),
  };
}
