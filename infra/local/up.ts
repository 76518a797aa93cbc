import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Stack } from '../../contract/stack.js';
import { ensureBase } from './base.js';
import type { Component, ComponentName } from './components/component.js';
import { componentOf, components, type Components } from './components/index.js';
import { chooseCluster, type ClusterChoice } from './cluster.js';
import { chooseEngine } from './engine.js';
import type { Home } from './home.js';
import { whileLocked } from './lock.js';
import { openLocal } from './local.js';
import { silent, type Report } from './report.js';
import { saveSettings } from './settings.js';
import { writeStack } from './stack-file.js';

export type Done = Awaited<ReturnType<Component['ensure']>>;
export type UpResult = {
  stack: Stack;
  done: Partial<Record<ComponentName, Done>>;
  /** Why there is no cluster although one was asked for. */
  noCluster: string | null;
  /** Path of the `kubectl` that came with the stack's own cluster. */
  kubectl: string | null;
};

/**
 * Brings the stack up: what is healthy is left alone, what is not is (re)started. Interrupted at any point,
 * the next one goes on from there.
 */
export function up(
  home: Home,
  report: Report,
  signal: AbortSignal,
  choice: ClusterChoice = {},
): Promise<UpResult> {
  return whileLocked({ home, report, signal }, async () => {
    const local = await openLocal(home, report, signal);
    const { settings } = local;
    if (settings.engine === null) {
      settings.engine = await chooseEngine(home, local.tools.docker);
      await saveSettings(home, settings);
    }
    const { engine } = settings;
    const noCluster = await chooseCluster(local, choice);
    const all = components(local);

    const registry = ensure(all.registry, report);
    const docker = ensure(all.docker, report);
    const base = registry.then(() => ensureBase(local, () => docker.then(() => engine.docker)));
    // A cluster that does not come up is no reason to be without all the rest: its failure is told at the end.
    const kubernetes = all.kubernetes && ensure(all.kubernetes, report);
    const cluster = Promise.resolve(kubernetes).then(
      (done) => ({ done }),
      (error: unknown) => ({ error }),
    );
    const first = await settle({
      temporal: ensure(all.temporal, report),
      minio: ensure(all.minio, report),
      postgres: ensure(all.postgres, report),
      registry,
      docker,
      base,
      cluster,
    });
    const { base: image, cluster: ended, ...servers } = first;
    signal.throwIfAborted();
    const known =
      'error' in ended && !existsSync(home.kubeconfig) ? { ...settings, cluster: null } : settings;
    const stack = await writeStack(home, known, local.ports, engine, image);
    const second = await settle({ worker: ensure(all.worker, report), server: ensure(all.server, report) });
    if ('error' in ended) throw ended.error;
    const kubectl = kubernetes ? join(dirname(await local.tools.kube()), 'kubectl') : null;
    const done = { ...servers, ...second, ...(ended.done && { kubernetes: ended.done }) };
    return { stack, done, noCluster, kubectl };
  });
}

/** Ensures the named components of a stack that has been up before, each by itself: others may be down. */
export function repair(home: Home, names: ComponentName[], signal: AbortSignal): Promise<void> {
  return whileLocked({ home, report: silent, signal }, async () => {
    const all: Components = components(await openLocal(home, silent, signal, { keep: true }));
    await Promise.all(names.map((name) => componentOf(all, name).ensure()));
  });
}

async function ensure(component: Component, report: Report): Promise<Done> {
  const done = await component.ensure();
  report.done(component.name, done);
  return done;
}

/** Awaits all, so that nothing goes on behind a failure's back; then throws what failed. */
async function settle<T extends Record<string, Promise<unknown>>>(
  all: T,
): Promise<{ [K in keyof T]: Awaited<T[K]> }> {
  const names = Object.keys(all);
  const settled = await Promise.allSettled(Object.values(all));
  const failures = new Set(
    settled.flatMap((result): unknown[] => (result.status === 'rejected' ? [result.reason] : [])),
  );
  if (failures.size > 1) throw new AggregateError([...failures], 'bringing the stack up');
  for (const failure of failures) throw failure;
  return Object.fromEntries(
    settled.map((result, index) => [names[index], result.status === 'fulfilled' ? result.value : undefined]),
  ) as { [K in keyof T]: Awaited<T[K]> };
}
