import type { Stack } from '../../../contract/stack.js';
import { probeImage } from '../../targets/probe.js';
import { Yard } from '../../targets/yard.js';
import { LateLine } from './late-line.js';
import type { Changes, Of, Opened } from './opened.js';

/** A yard as a target that is held to its promises. */
export async function onEngine(stack: Stack): Promise<Opened> {
  const yard = new Yard(stack);
  const neighbours: Yard[] = [];
  const setOf =
    (of: Yard): Opened['set'] =>
    (image, changes: Changes, { token, role = 'serve', service = 'iris' }: Of) => {
      const set = of.set(image, changes, role, token);
      return { ...set, grant: { ...set.grant, service }, release: `${service}.r${token}` };
    };
  const strangers: string[] = [];
  const lines: LateLine[] = [];
  return {
    target: yard.target,
    probe: (behaviour) => probeImage(stack, behaviour),
    set: setOf(yard),
    ready: async (set, replicas) => void (await yard.target.awaitReady(set, replicas, yard.watch())),
    identity: ({ name }) => yard.docker('inspect', '-f', '{{.Id}} {{.State.StartedAt}}', name),
    neighbour: async () => {
      const neighbour = new Yard(stack);
      neighbours.push(neighbour);
      return { target: neighbour.target, set: setOf(neighbour) };
    },
    away: async () =>
      new Yard(stack, { stack: yard.name, nodes: [{ docker: 'unix:///nowhere/docker.sock' }] }).target,
    overLine: async () => {
      const line = await LateLine.to({ socketPath: new URL(stack.nodes[0]!.docker).pathname });
      lines.push(line);
      const nodes = [{ docker: `tcp://127.0.0.1:${line.port}` }];
      return { line, target: new Yard(stack, { stack: yard.name, nodes }).target };
    },
    everything: async () => {
      const found = await yard.docker(
        'ps',
        '-a',
        '--filter',
        `label=slipway.stack=${yard.name}`,
        '--format',
        '{{.Names}}',
      );
      return found.split('\n').sort();
    },
    squat: async ({ name }) => {
      const image = await probeImage(stack);
      await yard.target.pull(yard.set(image), yard.watch());
      const reference = `${yard.nodes[0]!.registry}/${image.repository}@${image.digest}`;
      const labelled = ['--label', `slipway.stack=${yard.name}-another`];
      const id = await yard.docker('create', '--name', name, ...labelled, reference);
      strangers.push(id);
      return async () => (await yard.docker('ps', '-aq', '--no-trunc')).split('\n').includes(id);
    },
    inside: async ({ name }, ...command) => void (await yard.docker('exec', name, ...command)),
    log: ({ name }) => yard.docker('logs', name),
    snatch: async ({ name }) => void (await yard.docker('rm', '-f', name)),
    close: async () => {
      for (const id of strangers) await yard.docker('rm', '-f', id);
      for (const line of lines) await line.close();
      for (const one of [...neighbours, yard]) await one.close();
    },
  };
}
