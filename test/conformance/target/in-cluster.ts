import { createServer, type AddressInfo } from 'node:net';
import type { V1Deployment, V1Pod, V1Service } from '@kubernetes/client-node';
import type { Replica } from '../../../contract/pipeline.js';
import type { PlannedReplica } from '../../../platform/targets/index.js';
import { countCluster } from '../../../platform/targets/kubernetes/count.js';
import type { Berth } from '../../kubernetes/berth.js';
import { closed, listening } from '../../kubernetes/listening.js';
import { untilTrue } from '../../support/until.js';
import { LateLine } from './late-line.js';
import type { Opened } from './opened.js';

/** A berth as a target that is held to its promises. `probe` is the image of what runs in it, where anything does. */
export async function inCluster(openBerth: () => Promise<Berth>, probe: Opened['probe']): Promise<Opened> {
  const berth = await openBerth();
  const neighbours: Berth[] = [];
  const lines: LateLine[] = [];
  const podsOf = async ({ name }: Replica): Promise<string[]> => {
    const { items } = await berth.get<{ items: V1Pod[] }>('pods', '-l', `slipway.dev/workload=${name}`);
    return items.map(({ metadata }) => metadata!.name!);
  };
  const headOf = async (kind: string, { name }: PlannedReplica) => {
    const { metadata } = await berth.get<V1Deployment | V1Service>(kind, name);
    return `${metadata!.uid} ${metadata!.generation ?? metadata!.resourceVersion}`;
  };
  return {
    target: berth.target,
    probe,
    // On a node that has to do with many others, and starts Python in a moment.
    set: (image, changes, of) =>
      berth.set(image, { resources: { cpu: 0.1, memory: '64Mi' }, ...changes }, of),
    ready: async (set, replicas) => {
      for (const replica of replicas) await berth.ready(set, replica);
    },
    identity: async (replica) =>
      [await headOf('deployment', replica), await headOf('service', replica)].join(', '),
    neighbour: async () => {
      const neighbour = await openBerth();
      neighbours.push(neighbour);
      return { target: neighbour.target, set: (image, changes, of) => neighbour.set(image, changes, of) };
    },
    away: async () => {
      const gone = await listening(createServer());
      const server = `https://127.0.0.1:${(gone.address() as AddressInfo).port}`;
      await closed(gone);
      return berth.as(await berth.writeKubeconfig('away', { token: 't' }, { server })).target;
    },
    overLine: async () => {
      const kubeconfig = berth.plane.kubeConfig();
      const { hostname, port, host } = new URL(kubeconfig.getCurrentCluster()!.server);
      const options: Parameters<typeof kubeconfig.applyToHTTPSOptions>[0] = {};
      await kubeconfig.applyToHTTPSOptions(options);
      const line = await LateLine.to({
        ...options,
        host: hostname,
        port,
        headers: { ...options.headers, host },
      });
      lines.push(line);
      // The client takes a server without TLS only when told that nothing is verified.
      const server = { server: `http://127.0.0.1:${line.port}`, 'insecure-skip-tls-verify': true };
      return { line, target: berth.as(await berth.writeKubeconfig('late', {}, server)).target };
    },
    everything: async () => {
      const { workloads, objects, error } = await countCluster(berth.cluster);
      if (error !== null) throw new Error(error);
      // Of a workload that is gone, these go by themselves.
      const made = objects.filter(({ kind }) => kind !== 'ReplicaSet' && kind !== 'Pod');
      return [...workloads, ...made].map(({ name }) => name).sort();
    },
    squat: async ({ name }) => {
      const spec = { ports: [{ port: 1 }] };
      await berth.apply({ apiVersion: 'v1', kind: 'Service', metadata: { name }, spec });
      return async () => (await berth.get<V1Service>('service', name)).spec!.ports![0]!.port === 1;
    },
    inside: async (replica, ...command) => {
      const wanted = async () => {
        const path = ['-o', 'jsonpath={.spec.replicas}', '--ignore-not-found'];
        return Number(await berth.kubectl('get', 'deployment', replica.name, ...path));
      };
      await untilTrue(async () => (await podsOf(replica)).length >= (await wanted()), 60_000);
      const run = (pod: string) => berth.kubectl('exec', pod, '--', ...command);
      // Containers may be about to start.
      for (const pod of await podsOf(replica))
        await untilTrue(
          () =>
            run(pod).then(
              () => true,
              () => false,
            ),
          60_000,
        );
    },
    log: async (replica) => {
      const logs = (await podsOf(replica)).map((pod) => berth.kubectl('logs', pod));
      return (await Promise.all(logs)).join('\n');
    },
    snatch: async ({ name }) => {
      await berth.kubectl('delete', 'deployment', name);
      // These would go too, in their own time.
      const pods = ['-l', `slipway.dev/workload=${name}`, '--grace-period=1', '--wait=false'];
      await berth.kubectl('delete', 'pods', ...pods);
    },
    close: async () => {
      for (const line of lines) await line.close();
      for (const one of [...neighbours, berth]) await one.close();
    },
  };
}
