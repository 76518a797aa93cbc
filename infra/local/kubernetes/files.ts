import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { stringify } from 'yaml';
import { readIfPresent, writeAtomically } from '../files.js';
import type { ClusterNode } from './node.js';
import { containerdSocket, dnsDomain, podRange } from './parts.js';
import { pauseImage } from './pause-image.js';

const day = 24 * 60 * 60_000;

/** Writes what the node's programs read. Keys and data of an earlier start are kept. */
export async function writeNodeFiles(node: ClusterNode): Promise<void> {
  const { data, runtime, logs } = node;
  const keys = join(data, 'keys');
  for (const folder of [keys, join(data, 'pod-logs'), join(data, 'cni'), logs, runtime])
    await mkdir(folder, { recursive: true, mode: 0o700 });
  // Pods run as other users and reach their volumes by this path.
  await chmod(data, 0o711);
  const registry = join(data, 'hosts', `${node.machine}:${node.registry}`);
  await rm(join(data, 'hosts'), { recursive: true, force: true });
  await mkdir(registry, { recursive: true });
  await Promise.all([
    writeKeys(node, keys),
    writeFile(join(registry, 'hosts.toml'), registryHost(node)),
    writeFile(join(data, 'containerd.toml'), containerd(node, await snapshotterFor(data))),
    writeFile(join(data, 'cni', '10-pods.conflist'), JSON.stringify(podNetwork(node), null, 2)),
    writeFile(join(data, 'kubelet.yaml'), stringify(kubelet(node))),
    writeFile(join(data, 'kubeconfig'), kubeconfig(node, { file: join(keys, 'apiserver.crt') }), {
      mode: 0o600,
    }),
    writeFile(join(data, 'Corefile'), corefile(node)),
  ]);
}

/** A kubeconfig of the cluster's administrator; the authority as a file, or in it. */
export function kubeconfig(node: ClusterNode, authority: { file: string } | { pem: string }): string {
  const name = 'slipway';
  const server = `https://${node.address}:6443`;
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name,
        cluster:
          'file' in authority
            ? { server, 'certificate-authority': authority.file }
            : { server, 'certificate-authority-data': Buffer.from(authority.pem).toString('base64') },
      },
    ],
    users: [{ name, user: { token: node.token } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  });
}

async function writeKeys(node: ClusterNode, keys: string): Promise<void> {
  await writeAtomically(join(keys, 'tokens.csv'), `${node.token},admin,admin,system:masters\n`);
  const accounts = join(keys, 'accounts.key');
  if ((await readIfPresent(accounts)) === null) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    await writeAtomically(accounts, String(privateKey.export({ type: 'pkcs8', format: 'pem' })));
  }
  const certificate = join(keys, 'to-kubelet.crt');
  if ((await readIfPresent(certificate)) === null)
    await execa('openssl', [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '3650'],
      ...['-subj', '/O=system:masters/CN=apiserver', '-addext', 'extendedKeyUsage=clientAuth'],
      ...['-keyout', join(keys, 'to-kubelet.key'), '-out', certificate],
    ]);
  // The API server makes its own, for a year and for the address it has: a new one when it no longer fits.
  const own = await readIfPresent(join(keys, 'apiserver.crt'));
  if (own === null) return;
  const { validTo } = new X509Certificate(own);
  const fits = new X509Certificate(own).checkIP(node.address) !== undefined;
  if (!fits || Date.parse(validTo) - Date.now() < 30 * day)
    for (const file of ['apiserver.crt', 'apiserver.key']) await rm(join(keys, file), { force: true });
}

/** `overlayfs`; where the folder is itself on such a file system, which cannot be stacked so, whole copies. */
async function snapshotterFor(data: string): Promise<'overlayfs' | 'native'> {
  const folder = join(data, 'overlay-probe');
  const script = 'cd "$1"; mkdir -p l u w m; mount -t overlay none -o lowerdir=l,upperdir=u,workdir=w m';
  await mkdir(folder, { recursive: true });
  const { failed } = await execa('unshare', ['--mount', 'sh', '-euc', script, 'sh', folder], {
    reject: false,
  });
  await rm(folder, { recursive: true, force: true });
  return failed ? 'native' : 'overlayfs';
}

/** Plain HTTP, and no credentials: pods bring them as imagePullSecrets. */
const registryHost = ({ machine, registry }: ClusterNode): string => {
  const url = `http://${machine}:${registry}`;
  return `server = "${url}"\n[host."${url}"]\n  capabilities = ["pull", "resolve"]\n`;
};

const containerd = ({ data, runtime, plugins }: ClusterNode, snapshotter: string): string => `version = 2
root = "${data}/containerd"
state = "${runtime}/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "${containerdSocket(runtime)}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  disable_apparmor = true
  # Lowering it is refused in a container and in some virtual machines.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "${plugins}"
  conf_dir = "${data}/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "${data}/hosts"
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "${snapshotter}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
`;

const podNetwork = ({ runtime }: ClusterNode): object => ({
  cniVersion: '0.4.0',
  name: 'pods',
  plugins: [
    {
      ...{ type: 'bridge', bridge: 'cni0', isGateway: true, ipMasq: true, hairpinMode: true },
      ipam: {
        type: 'host-local',
        // Pods end with the node, and so do their addresses.
        dataDir: `${runtime}/addresses`,
        ranges: [[{ subnet: podRange }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
});

const kubelet = (node: ClusterNode): object => ({
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  containerRuntimeEndpoint: `unix://${containerdSocket(node.runtime)}`,
  cgroupDriver: 'cgroupfs',
  cgroupRoot: `/${node.cgroup}`,
  failSwapOn: false,
  // Pods can connect to it: only the API server may ask.
  authentication: {
    anonymous: { enabled: false },
    webhook: { enabled: true },
    x509: { clientCAFile: join(node.data, 'keys', 'to-kubelet.crt') },
  },
  authorization: { mode: 'Webhook' },
  healthzBindAddress: node.address,
  resolvConf: '',
  clusterDNS: [node.address],
  clusterDomain: dnsDomain,
  podLogsDir: join(node.data, 'pod-logs'),
  volumePluginDir: join(node.data, 'volume-plugins'),
  containerLogMaxSize: '10Mi',
  // The disk is the machine's: nothing is to be removed or evicted because others filled it.
  imageGCHighThresholdPercent: 100,
  evictionHard: { 'memory.available': '100Mi' },
  serializeImagePulls: false,
  shutdownGracePeriod: '0s',
});

const corefile = ({ data, address }: ClusterNode): string => `. {
	bind ${address}
	errors
	health ${address}:10255
	kubernetes ${dnsDomain} in-addr.arpa {
		kubeconfig "${data}/kubeconfig"
		ttl 5
	}
}
`;
