import { cutLine } from '../cut-line.js';
import { ask, askFor, engineInfo, type Node } from './docker-node.js';
import { inspectContainer } from './docker-start.js';

/**
 * Last log lines of a container, standard output and error in the order the engine got them, at most up to the time
 * `until` (milliseconds by the node's clock). Empty when it is gone.
 * Undoes the engine's framing: https://docs.docker.com/engine/api/v1.41/#tag/Container/operation/ContainerAttach
 */
export async function lastLines(
  node: Node,
  name: string,
  lines: number,
  { signal, until }: { signal?: AbortSignal; until?: number | undefined } = {},
): Promise<string[]> {
  const options = { stdout: true, stderr: true, follow: false as const };
  const raw = await askFor(
    node,
    `reading logs of "${name}"`,
    (abortSignal) =>
      node.docker.getContainer(name).logs({
        ...options,
        // The engine counts lines before it looks at their time.
        ...(until === undefined ? { tail: lines } : { tail: 10 * lines, until: until / 1000 }),
        abortSignal,
      }),
    { signal },
  );
  if (!Buffer.isBuffer(raw)) return [];
  const text = Buffer.concat(framesOf(raw)).toString('utf8').trimEnd();
  const found = text === '' ? [] : text.split('\n').slice(-lines);
  return found.map(cutLine);
}

function framesOf(raw: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at + 8 <= raw.length;) {
    const end = at + 8 + raw.readUInt32BE(at + 4);
    frames.push(raw.subarray(at + 8, end));
    at = end;
  }
  return frames;
}

/** A container's exit state and last log lines as text, for people. Empty when it is gone. */
export async function evidenceOf(node: Node, name: string, lines: number): Promise<string> {
  const container = await inspectContainer(node, name);
  if (container === null) return '';
  const { State: state, RestartCount: restarts } = container;
  const death = state.Running && restarts > 0 ? await lastDeath(node, name, container.Created) : null;
  const facts = [
    `container ${name} on node ${node.config.name}: ${state.Status}`,
    `image: ${container.Config.Image}`,
    `exit code: ${death?.exitCode ?? state.ExitCode}`,
    `out of memory: ${state.OOMKilled || death?.oomKilled ? 'yes' : 'no'}`,
    `restarts: ${restarts}`,
    `started: ${state.StartedAt}`,
    `finished: ${state.FinishedAt}`,
    ...(state.Error ? [`error: ${state.Error}`] : []),
  ];
  const log = await lastLines(node, name, lines);
  return [...facts, '', ...log, ''].join('\n');
}

/** A line of `GET /events`. */
type EngineEvent = {
  Action: string;
  timeNano: number;
  Actor: { Attributes: Record<string, string | undefined> };
};

/**
 * How a container last died, from the engine's memory of events: once it has been restarted, inspecting
 * it tells no more. `at` is in milliseconds by the node's clock. Null when the engine has forgotten.
 */
export async function lastDeath(
  node: Node,
  name: string,
  since: string,
  signal?: AbortSignal,
): Promise<{ exitCode: number; oomKilled: boolean; at: number } | null> {
  const until = (await engineInfo(node, signal)).now / 1000;
  const stream = await ask(
    node,
    `reading events of "${name}"`,
    (abortSignal) =>
      node.docker.getEvents({
        since: Math.floor(Date.parse(since) / 1000),
        until,
        filters: { container: [name], event: ['die', 'oom'] },
        abortSignal,
      }),
    { signal },
  );
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  const events = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as EngineEvent);
  const last = events.findLast(({ Action }) => Action === 'die');
  if (last === undefined) return null;
  return {
    exitCode: Number(last.Actor.Attributes['exitCode']),
    oomKilled: events.some(({ Action }) => Action === 'oom'),
    at: last.timeNano / 1e6,
  };
}
