import { randomBytes } from 'node:crypto';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { execa } from 'execa';
import type { ServeSpec } from '../../contract/deploy.js';
import type { ImageRef } from '../../contract/names.js';
import type { Progress, Replica } from '../../contract/pipeline.js';
import { NodeConfig, type Stack } from '../../contract/stack.js';
import { clearInstallation, dockerTarget, type DockerTargetOptions } from '../../platform/targets/docker.js';
import type { ReplicaSet, Target, Watch } from '../../platform/targets/index.js';

/** An installation of its own on the stack's engine, so that tests do not meet each other's containers. */
export class Yard {
  readonly name = `t-${randomBytes(4).toString('hex')}`;
  readonly nodes: NodeConfig[];
  readonly target: Target;
  readonly seen: Progress[] = [];

  constructor(
    readonly stack: Stack,
    options: Partial<Omit<DockerTargetOptions, 'nodes'>> & { nodes?: Partial<NodeConfig>[] } = {},
  ) {
    const { nodes = [{}], ...rest } = options;
    // Ports apart from those of the stack itself.
    const node = { ...stack.nodes[0]!, ports: [19_000, 19_499] as [number, number] };
    this.nodes = nodes.map((changed) => NodeConfig.parse({ ...node, ...changed }));
    this.target = dockerTarget({
      stack: this.name,
      nodes: this.nodes,
      credentials: stack.registry,
      allowPickle: false,
      drain: 10_000,
      ...rest,
    });
  }

  watch(signal: AbortSignal = new AbortController().signal): Watch {
    return { signal, onProgress: (progress) => this.seen.push(progress) };
  }

  set(
    image: ImageRef,
    changes: Partial<ServeSpec> = {},
    role: ReplicaSet['role'] = 'serve',
    token = 1,
  ): ReplicaSet {
    const spec: ServeSpec = {
      recipe: 'python-class',
      replicas: 1,
      port: 8000,
      resources: { cpu: 0.5, memory: '128Mi' },
      verify: { latencyBudget: '1s', startupBudget: '2m', sourceCheck: true },
      ...changes,
    };
    const deployment = { workflowId: `wf-${this.name}`, runId: 'run' };
    return {
      grant: { service: 'iris', token, deployment },
      release: `iris.r${token}`,
      model: 'iris',
      image,
      spec,
      role,
    };
  }

  async start(set: ReplicaSet): Promise<Replica[]> {
    const placed = this.target.place(set);
    const replicas: Replica[] = [];
    for (const replica of placed) replicas.push(await this.target.start(set, replica, this.watch()));
    return replicas;
  }

  async up(set: ReplicaSet): Promise<Replica[]> {
    const replicas = await this.start(set);
    await this.target.awaitReady(set, replicas, this.watch());
    return replicas;
  }

  /** Runs the docker command against a node's engine. */
  async docker(...args: string[]): Promise<string> {
    const { stdout } = await execa('docker', ['-H', this.nodes[0]!.docker, ...args]);
    return stdout;
  }

  async close(): Promise<void> {
    await clearInstallation(this.name, this.nodes);
  }
}

/** A registry's address that can be taken away: a relay to the real one. */
export async function relay(url: string): Promise<{ host: string; close: () => Promise<void> }> {
  const { hostname, port } = new URL(url);
  const open = new Set<Socket>();
  const server: Server = createServer((from) => {
    const to = dial(Number(port), hostname);
    for (const socket of [from, to]) {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
      socket.on('error', () => [from, to].forEach((end) => end.destroy()));
    }
    from.pipe(to).pipe(from);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address() as { port: number };
  return {
    host: `127.0.0.1:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        // Closed before is closed.
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}
