import { join } from 'node:path';
import { kubeletRoot, nodeName, type ClusterNode } from './node.js';

export const partNames = [
  'containerd',
  'etcd',
  'apiserver',
  'controller-manager',
  'scheduler',
  'kubelet',
  'proxy',
  'dns',
] as const;
export type PartName = (typeof partNames)[number];

/** One program of the node. */
export type Part = {
  name: PartName;
  program: string;
  args: string[];
  /** Answers 200 while the part is well; left out: another part's answer tells. */
  health?: string;
  /** Those that need the API server wait for it when the node starts. */
  afterApi: boolean;
};

const etcd = 'http://127.0.0.1:2379';
const etcdPeer = 'http://127.0.0.1:2380';

/** Services get their addresses from here, pods from {@link podRange}; both exist inside the node only. */
const serviceRange = '10.96.0.0/16';
export const podRange = '10.244.0.0/24';
export const dnsDomain = 'cluster.local';

/** Every program of the node and how it is started, in order. */
export function partsOf(node: ClusterNode): Part[] {
  const { data, runtime, address } = node;
  const keys = join(data, 'keys');
  const kubeconfig = join(data, 'kubeconfig');
  return [
    {
      name: 'containerd',
      program: 'containerd',
      args: ['--config', join(data, 'containerd.toml')],
      afterApi: false,
    },
    {
      name: 'etcd',
      program: 'etcd',
      args: [
        ...['--name', 'local', '--data-dir', join(data, 'etcd'), '--log-level', 'warn'],
        ...['--listen-client-urls', etcd, '--advertise-client-urls', etcd],
        ...['--listen-peer-urls', etcdPeer, '--initial-advertise-peer-urls', etcdPeer],
        ...['--initial-cluster', `local=${etcdPeer}`],
        // Safe when it is killed, not when the machine loses its power: what a cluster to try things on is worth.
        '--unsafe-no-fsync',
      ],
      afterApi: false,
    },
    {
      name: 'apiserver',
      program: 'kube-apiserver',
      args: [
        ...[`--etcd-servers=${etcd}`, `--advertise-address=${address}`, '--secure-port=6443'],
        ...[`--cert-dir=${keys}`, `--token-auth-file=${join(keys, 'tokens.csv')}`],
        ...['--authorization-mode=Node,RBAC', '--allow-privileged'],
        ...[`--service-cluster-ip-range=${serviceRange}`],
        // Who wants more pods on a small machine than it has room for can have them promised less.
        ...['--feature-gates=MutatingAdmissionPolicy=true'],
        ...['--runtime-config=admissionregistration.k8s.io/v1beta1=true'],
        // Nothing resolves the node's name.
        '--kubelet-preferred-address-types=InternalIP',
        `--kubelet-client-certificate=${join(keys, 'to-kubelet.crt')}`,
        `--kubelet-client-key=${join(keys, 'to-kubelet.key')}`,
        '--service-account-issuer=https://kubernetes.default.svc',
        `--service-account-key-file=${join(keys, 'accounts.key')}`,
        `--service-account-signing-key-file=${join(keys, 'accounts.key')}`,
      ],
      health: `https://${address}:6443/readyz`,
      afterApi: false,
    },
    {
      name: 'controller-manager',
      program: 'kube-controller-manager',
      args: [
        ...[`--kubeconfig=${kubeconfig}`, '--leader-elect=false'],
        `--service-account-private-key-file=${join(keys, 'accounts.key')}`,
        `--root-ca-file=${join(keys, 'apiserver.crt')}`,
      ],
      health: `https://${address}:10257/healthz`,
      afterApi: true,
    },
    {
      name: 'scheduler',
      program: 'kube-scheduler',
      args: [`--kubeconfig=${kubeconfig}`, '--leader-elect=false'],
      health: `https://${address}:10259/healthz`,
      afterApi: true,
    },
    {
      name: 'kubelet',
      program: 'kubelet',
      args: [
        ...[`--config=${join(data, 'kubelet.yaml')}`, `--kubeconfig=${kubeconfig}`],
        ...[`--root-dir=${kubeletRoot(runtime)}`, `--cert-dir=${join(data, 'keys', 'kubelet')}`],
        ...[`--hostname-override=${nodeName}`, `--node-ip=${address}`],
      ],
      health: `http://${address}:10248/healthz`,
      afterApi: true,
    },
    {
      name: 'proxy',
      program: 'kube-proxy',
      args: [
        ...[`--kubeconfig=${kubeconfig}`, `--hostname-override=${nodeName}`, '--proxy-mode=iptables'],
        ...[`--cluster-cidr=${podRange}`, `--healthz-bind-address=${address}:10256`],
        // Requests just after a rollout would find old rules for a second.
        '--iptables-min-sync-period=100ms',
        // These are settings of the whole machine.
        ...['--conntrack-max-per-core=0', '--conntrack-min=0'],
        ...['--conntrack-tcp-timeout-established=0', '--conntrack-tcp-timeout-close-wait=0'],
      ],
      health: `http://${address}:10256/healthz`,
      afterApi: true,
    },
    {
      name: 'dns',
      program: 'coredns',
      args: ['-conf', join(data, 'Corefile'), '-quiet'],
      health: `http://${address}:10255/health`,
      afterApi: true,
    },
  ].map((part) => ({ ...part, name: part.name as PartName })) satisfies Part[];
}

/** Socket that containerd listens on. */
export const containerdSocket = (runtime: string): string => join(runtime, 'containerd.sock');
