import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import getPort from 'get-port';
import { stringify } from 'yaml';
import { kwok } from '../infra/local/tools/kwok.js';
import { getTool, type Say } from '../infra/local/tools/tool.js';
import { Children } from './children.js';

/** A real control plane whose nodes are simulated: pods become ready at once and run nothing. */
export type SimulatedCluster = {
  kubeconfig: string;
  /** Everything of it is here, and goes with it. */
  folder: string;
  stop: () => Promise<void>;
};

type Options = {
  /** Folder of the control plane's programs: that of the tool `kube`. */
  programs: string;
  nodes: number;
  podsPerNode: number;
};

/**
 * Starts it on loopback, in a folder that goes with it; needs no root. For numbers of pods that no machine could run.
 * Throws with the last lines of what the part wrote that did not come up.
 */
export async function simulatedCluster(
  { programs, nodes, podsPerNode }: Options,
  say: Say,
  signal: AbortSignal,
): Promise<SimulatedCluster> {
  const simulator = await getTool(kwok, say, signal);
  const folder = await mkdtemp(join(tmpdir(), 'slipway-simulated-'));
  const [api, etcd, peer] = [await getPort(), await getPort(), await getPort()];
  const kubeconfig = join(folder, 'kubeconfig');
  const children = new Children(folder, signal);
  const stop = async (): Promise<void> => {
    await children.end();
    await rm(folder, { recursive: true, force: true });
  };

  try {
    const token = randomBytes(16).toString('hex');
    await writeKeys(folder, token);
    await writeFile(kubeconfig, kubeconfigOf(`https://127.0.0.1:${api}`, token), { mode: 0o600 });
    const key = join(folder, 'sa.key');
    const etcdUrl = `http://127.0.0.1:${etcd}`;
    const peerUrl = `http://127.0.0.1:${peer}`;
    await children.start('etcd', join(programs, 'etcd'), [
      ...['--name=e', `--data-dir=${join(folder, 'etcd')}`, '--unsafe-no-fsync'],
      ...[`--listen-client-urls=${etcdUrl}`, `--advertise-client-urls=${etcdUrl}`],
      ...[`--listen-peer-urls=${peerUrl}`, `--initial-advertise-peer-urls=${peerUrl}`],
      `--initial-cluster=e=${peerUrl}`,
    ]);
    await children.start('apiserver', join(programs, 'kube-apiserver'), [
      ...[`--etcd-servers=${etcdUrl}`, '--bind-address=127.0.0.1', `--secure-port=${api}`],
      ...[`--cert-dir=${folder}`, '--endpoint-reconciler-type=none'],
      ...['--service-cluster-ip-range=10.96.0.0/16', `--token-auth-file=${join(folder, 'tokens.csv')}`],
      ...['--authorization-mode=RBAC', '--service-account-issuer=https://kubernetes.default.svc'],
      ...[`--service-account-key-file=${key}`, `--service-account-signing-key-file=${key}`],
    ]);
    const config = new KubeConfig();
    config.loadFromFile(kubeconfig);
    const core = config.makeApiClient(CoreV1Api);
    await children.until('the apiserver', () => core.readNamespace({ name: 'default' }));
    // Their usual limits make a thousand pods a matter of minutes.
    const limits = ['--kube-api-qps=1000', '--kube-api-burst=1000'];
    await children.start('controllers', join(programs, 'kube-controller-manager'), [
      ...[`--kubeconfig=${kubeconfig}`, '--leader-elect=false', '--secure-port=0', ...limits],
      ...[`--service-account-private-key-file=${key}`, `--root-ca-file=${join(folder, 'apiserver.crt')}`],
    ]);
    await children.start('scheduler', join(programs, 'kube-scheduler'), [
      ...[`--kubeconfig=${kubeconfig}`, '--leader-elect=false', '--secure-port=0', ...limits],
    ]);
    for (let index = 0; index < nodes; index += 1)
      await core.createNode({ body: simulatedNode(index, podsPerNode) });
    await children.start('kwok', simulator, [
      ...[`--kubeconfig=${kubeconfig}`, '--manage-all-nodes', '--node-lease-duration-seconds=40'],
    ]);
    await children.until('the nodes', async () => {
      const { items } = await core.listNode();
      const ready = items.filter(({ status }) =>
        status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
      );
      if (ready.length < nodes) throw new Error(`${ready.length} of ${nodes} are ready`);
    });
    // Pods of the namespace are refused until its account is there.
    await children.until('the service account', () =>
      core.readNamespacedServiceAccount({ namespace: 'default', name: 'default' }),
    );
    return { kubeconfig, folder, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function writeKeys(folder: string, token: string): Promise<void> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = privateKey.export({ type: 'pkcs1', format: 'pem' });
  await writeFile(join(folder, 'sa.key'), pem, { mode: 0o600 });
  await writeFile(join(folder, 'tokens.csv'), `${token},admin,1,system:masters\n`, { mode: 0o600 });
}

/** The apiserver makes its own certificate when it starts; nobody else is on loopback between. */
const kubeconfigOf = (server: string, token: string): string =>
  stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'simulated', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'simulated', user: { token } }],
    contexts: [{ name: 'simulated', context: { cluster: 'simulated', user: 'simulated' } }],
    'current-context': 'simulated',
  });

function simulatedNode(index: number, pods: number) {
  const room = { cpu: '10000', memory: '100Ti', pods: String(pods) };
  return {
    metadata: {
      name: `simulated-${index}`,
      labels: { type: 'kwok', 'kubernetes.io/hostname': `simulated-${index}` },
    },
    status: { allocatable: room, capacity: room },
  };
}
