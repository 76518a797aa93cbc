import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CoreV1Api, KubeConfig, RbacAuthorizationV1Api } from '@kubernetes/client-node';
import getPort from 'get-port';
import { stringify } from 'yaml';
import { kwok } from '../tools/kwok.js';
import { getTool, type Say } from '../tools/tool.js';
import { Children } from './children.js';

export type SimulatedPart = 'etcd' | 'apiserver' | 'controllers' | 'scheduler' | 'kwok';

/**
 * A real control plane whose nodes are simulated: pods become ready at once and run nothing. Those with the annotation
 * {@link byHand} are left to whoever writes their status.
 */
export type SimulatedCluster = {
  kubeconfig: string;
  /** Everything of it is here, and goes with it. */
  folder: string;
  /** Sends a part a real signal; waits for its end unless that only freezes or thaws it. */
  send: (part: SimulatedPart, signal: NodeJS.Signals) => Promise<void>;
  /** Starts a part that was killed. */
  again: (part: SimulatedPart) => Promise<void>;
  stop: () => Promise<void>;
};

type Options = {
  /** Folder of the control plane's programs: that of the tool `kube`. */
  programs: string;
  nodes: number;
  podsPerNode: number;
  /** Of each node. */
  memory?: string;
  /** Chooses a free port. */
  port?: () => Promise<number>;
};

const statusBy = 'slipway.dev/status-by';
/** Annotation of pods that the simulation leaves alone. */
export const byHand = { [statusBy]: 'hand' };

/**
 * Starts it on loopback, in a folder that goes with it; needs no root. For numbers of pods that no machine could run.
 * Throws with the last lines of what the part wrote that did not come up.
 */
export async function simulatedCluster(
  { programs, nodes, podsPerNode, memory = '100Ti', port = getPort }: Options,
  say: Say,
  signal: AbortSignal,
): Promise<SimulatedCluster> {
  const simulator = await getTool(kwok, say, signal);
  const folder = await mkdtemp(join(tmpdir(), 'slipway-simulated-'));
  const [api, etcd, peer] = [await port(), await port(), await port()];
  const kubeconfig = join(folder, 'kubeconfig');
  const children = new Children(folder, signal);
  const stop = async (): Promise<void> => {
    await children.end();
    await rm(folder, { recursive: true, force: true });
  };

  try {
    const token = randomBytes(16).toString('hex');
    await writeKeys(folder, token);
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
    await children.until('the apiserver', async () => {
      // It makes its certificate when it starts.
      const certificate = await readFile(join(folder, 'apiserver.crt'));
      const text = kubeconfigOf(`https://127.0.0.1:${api}`, certificate, token);
      await writeFile(kubeconfig, text, { mode: 0o600 });
      config.loadFromFile(kubeconfig);
      await config.makeApiClient(CoreV1Api).readNamespace({ name: 'default' });
    });
    const core = config.makeApiClient(CoreV1Api);
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
      await core.createNode({ body: simulatedNode(index, { memory, pods: String(podsPerNode) }) });
    await children.start('kwok', simulator, [
      ...[`--kubeconfig=${kubeconfig}`, '--manage-all-nodes', '--node-lease-duration-seconds=40'],
      `--disregard-status-with-annotation-selector=${statusBy}=${byHand[statusBy]}`,
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
    await children.until('the usual roles', async () => {
      const { rules = [] } = await config
        .makeApiClient(RbacAuthorizationV1Api)
        .readClusterRole({ name: 'admin' });
      if (rules.length === 0) throw new Error('the role "admin" is empty');
    });
    return {
      kubeconfig,
      folder,
      send: (part, its) => children.send(part, its),
      again: (part) => children.again(part),
      stop,
    };
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

const kubeconfigOf = (server: string, certificate: Buffer, token: string): string =>
  stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'simulated',
        cluster: { server, 'certificate-authority-data': certificate.toString('base64') },
      },
    ],
    users: [{ name: 'simulated', user: { token } }],
    contexts: [{ name: 'simulated', context: { cluster: 'simulated', user: 'simulated' } }],
    'current-context': 'simulated',
  });

function simulatedNode(index: number, { memory, pods }: { memory: string; pods: string }) {
  const room = { cpu: '10000', memory, pods };
  return {
    metadata: {
      name: `simulated-${index}`,
      labels: { type: 'kwok', 'kubernetes.io/hostname': `simulated-${index}` },
    },
    status: { allocatable: room, capacity: room },
  };
}
