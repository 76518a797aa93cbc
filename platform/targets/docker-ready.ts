import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import { SlipwayError } from '../../contract/errors.js';
import type { Replica } from '../../contract/pipeline.js';
import { milliseconds } from '../../contract/quantities.js';
import { lastDeath, lastLines } from './docker-evidence.js';
import { engineInfo, type Node } from './docker-node.js';
import { inspectContainer } from './docker-start.js';
import type { ReplicaSet, Watch } from './index.js';
import { whyNotReady } from './readiness.js';
import { tellingLine } from './telling.js';
import { together } from './together.js';

/** Milliseconds between two looks at a container. */
const lookInterval = 250;
/** Milliseconds that one which may have been ready before, days ago perhaps, is given to be so again. */
const recovery = 5_000;
/** Log lines that go into an error. */
const logLines = 30;

type Placed = { replica: Replica; node: Node };

/**
 * Waits until every replica answers ready and is still there. Throws `RolloutFailed` with
 * `{replica, node, exitCode, oomKilled, logs}` as soon as one has ended by itself, or with `logs` when it is not
 * ready within the start-up budget, counted from its container's start. A container that someone else stopped or
 * removed, and an engine that is away, are passing faults.
 */
export async function awaitReplicas(set: ReplicaSet, placed: Placed[], watch: Watch): Promise<void> {
  const began = Date.now();
  const ready = new Set<string>();
  const report = () => {
    const seconds = Math.round((Date.now() - began) / 1000);
    watch.onProgress({
      message: `${ready.size} of ${placed.length} ready after ${seconds} s of ${set.spec.verify.startupBudget}`,
      done: ready.size,
      total: placed.length,
      unit: 'replicas',
    });
  };
  report();
  const ticker = setInterval(report, 1_000);
  try {
    await together(placed, watch.signal, async ({ replica, node }, signal) => {
      await awaitReplica(set, replica, node, signal);
      ready.add(replica.name);
      report();
    });
    // The first one ready may have died while the last one was loading.
    await together(placed, watch.signal, async ({ replica, node }, signal) => {
      await assertAlive(set, replica, node, signal);
    });
  } finally {
    clearInterval(ticker);
  }
}

async function awaitReplica(
  set: ReplicaSet,
  replica: Replica,
  node: Node,
  signal: AbortSignal,
): Promise<void> {
  const began = Date.now();
  const budget = milliseconds(set.spec.verify.startupBudget);
  const clockOffset = (await engineInfo(node, signal)).now - Date.now();
  for (;;) {
    const container = await assertAlive(set, replica, node, signal);
    const answer = await whyNotReady(replica.url, signal);
    if (answer === null) return;
    const age = Date.now() + clockOffset - Date.parse(container.State.StartedAt);
    if (age > budget && Date.now() - began > Math.min(budget, recovery))
      throw await tooSlow(set, replica, node, answer, signal);
    await sleep(lookInterval, undefined, { signal });
  }
}

/** The container, when it is up and has been all the time since it was started. */
async function assertAlive(
  set: ReplicaSet,
  replica: Replica,
  node: Node,
  signal: AbortSignal,
): Promise<Docker.ContainerInspectInfo> {
  const container = await inspectContainer(node, replica.name, signal);
  if (container === null)
    throw new Error(`container "${replica.name}" on node "${replica.node}" was removed`);
  const { State: state } = container;
  if (container.RestartCount > 0 || state.Restarting || state.OOMKilled)
    throw await died(set, container, replica, node, signal);
  if (state.Running) return container;
  // An engine that is shutting down ends containers too, and answers no more a moment later.
  await sleep(500, undefined, { signal });
  const again = await inspectContainer(node, replica.name, signal);
  if (again === null || again.State.Running || again.State.Status === 'created' || set.role === 'serve')
    throw new Error(
      `container "${replica.name}" on node "${replica.node}" was stopped${state.Error ? `: ${state.Error}` : ''}`,
    );
  throw await died(set, again, replica, node, signal);
}

async function died(
  set: ReplicaSet,
  container: Docker.ContainerInspectInfo,
  replica: Replica,
  node: Node,
  signal: AbortSignal,
): Promise<SlipwayError> {
  const { State: state } = container;
  const seen = await lastDeath(node, container.Id, container.Created, signal);
  const exitCode = seen?.exitCode ?? state.ExitCode;
  const oomKilled = state.OOMKilled || seen?.oomKilled === true;
  // What it has written since a restart tells nothing of its end.
  const logs = await lastLines(node, container.Id, logLines, {
    signal,
    until: seen ? seen.at + 50 : undefined,
  });
  const why = oomKilled
    ? `ran out of memory (limit ${set.spec.resources.memory})`
    : `ended with exit code ${exitCode}${logs.length > 0 ? `: ${tellingLine(logs)}` : ''}`;
  return new SlipwayError('RolloutFailed', `container "${replica.name}" on node "${replica.node}" ${why}`, {
    replica: replica.name,
    node: replica.node,
    exitCode,
    oomKilled,
    logs,
  });
}

async function tooSlow(
  set: ReplicaSet,
  replica: Replica,
  node: Node,
  answer: string,
  signal: AbortSignal,
): Promise<SlipwayError> {
  const logs = await lastLines(node, replica.name, logLines, { signal });
  return new SlipwayError(
    'RolloutFailed',
    `container "${replica.name}" on node "${replica.node}" was not ready within its start-up budget of ${set.spec.verify.startupBudget}; last answer: ${answer}`,
    { replica: replica.name, node: replica.node, exitCode: null, oomKilled: false, logs },
  );
}
