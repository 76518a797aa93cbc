import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import { SlipwayError } from '../../contract/errors.js';
import type { Replica } from '../../contract/pipeline.js';
import { bytes } from '../../contract/quantities.js';
import { labels } from '../../contract/serving.js';
import { ensureNetwork } from './docker-network.js';
import { ask, askFor, engineInfo, EngineError, urlOn, type Node } from './docker-node.js';
import { freePorts, isPortTaken, publishAddress } from './docker-ports.js';
import { ensureImage, type Credentials } from './docker-pull.js';
import { containerSpec, publish, specDigest, type Installation } from './docker-spec.js';
import { chainsAreMade } from './engine.js';
import type { PlannedReplica, ReplicaSet, Watch } from './index.js';

/** Rounds of create and start before giving up: each lost one means a taken port or another attempt's act. */
const maxRounds = 50;

/**
 * Creates and starts a replica's container, or finds it as it should be. Safe to repeat and to race with itself:
 * the engine lets one container have the name, and whoever loses takes up the winner's.
 * Throws `RolloutFailed` for what another try cannot mend, `Conflict` for a container of that name that is not this
 * installation's: `team` with a service `a-iris` and `team-a` with `iris` give the same.
 */
export async function startReplica(
  installation: Installation & { nodes: readonly Node[]; credentials: Credentials },
  node: Node,
  set: ReplicaSet,
  replica: PlannedReplica,
  watch: Watch,
): Promise<Replica> {
  await assertRoom(node, set, watch.signal);
  const image = await ensureImage(node, set.image, installation.credentials, watch);
  if (node.config.egress === 'none') await ensureNetwork(node, installation.stack, watch.signal);
  watch.onProgress({ message: `starting ${replica.name} on ${replica.node}` });

  const spec = containerSpec(installation, node, set, replica, image);
  const ports = await freePorts(node, installation.nodes, replica.name, watch.signal);
  const ip = await publishAddress(node);
  for (let round = 0; round < maxRounds; round += 1) {
    watch.signal.throwIfAborted();
    const existing = await inspectContainer(node, replica.name, watch.signal);
    if (existing && !isOurs(existing, installation.stack)) throw notOurs(node, replica, existing);
    if (existing && existing.Config.Labels[labels.spec] !== specDigest(spec)) {
      await discard(node, existing.Id, true, watch.signal);
      continue;
    }
    const port = existing ? Number(existing.Config.Labels[labels.port]) : ports.shift();
    if (port === undefined) throw noPort(node, replica);
    const id = existing?.Id ?? (await create(node, publish(spec, set.spec.port, { ip, port }), watch.signal));
    if (id === null) continue;
    const outcome = existing?.State.Running ? 'running' : await start(node, replica, id, watch.signal);
    if (outcome === 'running') return { node: replica.node, name: replica.name, url: urlOn(node, port) };
    if (outcome === 'unusable') await discard(node, id, false, watch.signal);
  }
  throw new Error(`starting "${replica.name}" on node "${replica.node}": lost ${maxRounds} rounds in a row`);
}

export const isOurs = ({ Config }: Docker.ContainerInspectInfo, stack: string): boolean =>
  Config.Labels[labels.stack] === stack;

function notOurs(
  node: Node,
  { name }: PlannedReplica,
  { Config }: Docker.ContainerInspectInfo,
): SlipwayError {
  const owner = Config.Labels[labels.stack];
  return new SlipwayError(
    'Conflict',
    `container "${name}" on node "${node.config.name}" exists and is not this installation's (label ${labels.stack}: ` +
      `${owner === undefined ? 'none' : `"${owner}"`}): remove or rename it, or give the service another name`,
    { name, node: node.config.name },
  );
}

async function assertRoom(node: Node, { spec }: ReplicaSet, signal: AbortSignal): Promise<void> {
  const { memory } = await engineInfo(node, signal);
  if (memory !== undefined && bytes(spec.resources.memory) > memory)
    throw new SlipwayError(
      'RolloutFailed',
      `node "${node.config.name}" has ${Math.floor(memory / 2 ** 20)}Mi of memory, a replica needs ${spec.resources.memory}`,
      { node: node.config.name },
    );
}

/** A container by name or id, or null. */
export const inspectContainer = (
  node: Node,
  name: string,
  signal?: AbortSignal,
): Promise<Docker.ContainerInspectInfo | null> =>
  askFor(
    node,
    `inspecting container "${name}"`,
    (abortSignal) => node.docker.getContainer(name).inspect({ abortSignal }),
    { signal },
  );

/**
 * Answers the container's id, or null when the name is just being taken or given up by someone else. Once asked, an
 * engine goes on without us: so this is seen through also when cancelled, or the undo would look too early.
 */
async function create(
  node: Node,
  options: Docker.ContainerCreateOptions,
  signal: AbortSignal,
): Promise<string | null> {
  try {
    const container = await ask(node, `creating container "${options.name}"`, (abortSignal) =>
      node.docker.createContainer({ ...options, abortSignal }),
    );
    return container.id;
  } catch (error) {
    if (!(error instanceof EngineError) || error.status !== 409) throw final(error);
    await sleep(100, undefined, { signal });
    return null;
  }
}

/** Seen through like {@link create}. */
async function start(
  node: Node,
  replica: PlannedReplica,
  id: string,
  signal: AbortSignal,
): Promise<'running' | 'unusable' | 'again'> {
  try {
    await ask(node, `starting container "${replica.name}"`, (abortSignal) =>
      node.docker.getContainer(id).start({ abortSignal }),
    );
    return 'running';
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    // Started already.
    if (error.status === 304) return 'running';
    // Removed meanwhile, or being removed: made anew in the next round.
    if (error.status === 409 || /no such container|marked for removal/i.test(error.reason)) {
      await sleep(100, undefined, { signal });
      return 'again';
    }
    if (chainsAreMade(error.reason)) {
      await sleep(200, undefined, { signal });
      return 'again';
    }
    // Bound to a port that is taken, or to a network that was pruned while it stood still.
    if (isPortTaken(error) || /network .* not found/i.test(error.reason)) return 'unusable';
    throw final(error);
  }
}

/** Removes a container that cannot be used. Without `force` one that someone else started meanwhile stays. */
async function discard(node: Node, id: string, force: boolean, signal: AbortSignal): Promise<void> {
  try {
    await askFor(
      node,
      `removing container "${id}"`,
      (abortSignal) => node.docker.getContainer(id).remove({ force, v: true, abortSignal }),
      { signal },
    );
  } catch (error) {
    if (!(error instanceof EngineError) || error.status !== 409) throw error;
    await sleep(100, undefined, { signal });
  }
}

/** A refused configuration, a program that cannot be run and a full disk stay what they are. */
function final(error: unknown): unknown {
  if (!(error instanceof EngineError)) return error;
  const details = { node: error.node };
  if (/no space left on device/i.test(error.reason))
    return new SlipwayError('RolloutFailed', `disk full: ${error.message}`, details, { cause: error });
  const refused =
    error.status === 400 || /OCI runtime create failed|executable file not found/i.test(error.reason);
  return refused ? new SlipwayError('RolloutFailed', error.message, details, { cause: error }) : error;
}

function noPort(node: Node, replica: PlannedReplica): SlipwayError {
  const [first, last] = node.config.ports;
  return new SlipwayError(
    'RolloutFailed',
    `starting "${replica.name}" on node "${replica.node}": no free port between ${first} and ${last}`,
    { node: replica.node },
  );
}
