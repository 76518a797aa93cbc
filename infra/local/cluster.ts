import { randomBytes } from 'node:crypto';
import { access } from 'node:fs/promises';
import { resolve } from 'node:path';
import { execa } from 'execa';
import { messageOf } from '../../contract/errors.js';
import type { Local } from './components/component.js';
import { kubernetes } from './components/kubernetes.js';
import type { Home } from './home.js';
import { whyNoCgroups } from './kubernetes/cgroups.js';
import { saveSettings, type Settings } from './settings.js';

/** What was asked for: nothing, the stack's own cluster or none, or one that is there. */
export type ClusterChoice = {
  kubernetes?: boolean | undefined;
  kubeconfig?: string | undefined;
  /** `host:port` of the registry as the nodes of a given cluster reach it. */
  registry?: string | undefined;
};

/**
 * Decides which cluster the stack has and remembers it; without a new choice it stays as it was.
 * Answers why there is none although it was asked for, or null. Throws when the choice itself is incomplete.
 */
export async function chooseCluster(local: Local, choice: ClusterChoice): Promise<string | null> {
  const { home, settings } = local;
  const remember = async (cluster: Settings['cluster']): Promise<void> => {
    if (settings.cluster?.kind === 'own' && cluster?.kind !== 'own') await kubernetes(local).stop();
    settings.cluster = cluster;
    await saveSettings(home, settings);
  };
  if (choice.kubernetes === false) {
    await remember(null);
    return null;
  }
  const kubeconfig = givenKubeconfig(home, choice);
  const registry = choice.registry ?? process.env['SLIPWAY_CLUSTER_REGISTRY'];
  if (kubeconfig !== null && (choice.kubernetes || choice.kubeconfig || registry)) {
    await remember(await given(kubeconfig, registry, settings));
    return null;
  }
  if (choice.kubernetes !== true && settings.cluster?.kind !== 'own') return null;
  const reason = await whyNoCluster();
  if (reason !== null) {
    await remember(null);
    return reason;
  }
  if (settings.cluster?.kind !== 'own')
    await remember({ kind: 'own', subnet: null, token: randomBytes(24).toString('hex') });
  return null;
}

/** The file that was named, or that `KUBECONFIG` names; the stack's own cluster is not one that was given. */
function givenKubeconfig(home: Home, choice: ClusterChoice): string | null {
  const named = choice.kubeconfig ?? process.env['KUBECONFIG'];
  if (!named) return null;
  const path = resolve(named);
  return path === resolve(home.kubeconfig) ? null : path;
}

async function given(
  kubeconfig: string,
  registry: string | undefined,
  settings: Settings,
): Promise<Settings['cluster']> {
  try {
    await access(kubeconfig);
  } catch (cause) {
    throw new Error(`reading the kubeconfig "${kubeconfig}": ${messageOf(cause)}`, { cause });
  }
  const known = settings.cluster?.kind === 'given' ? settings.cluster.registry : undefined;
  const address = registry ?? known;
  if (!address)
    throw new Error(
      `using the cluster of "${kubeconfig}": say where its nodes reach this stack's registry, with ` +
        '--cluster-registry HOST:PORT or SLIPWAY_CLUSTER_REGISTRY',
    );
  if (!/^[^\s/:]+(:\d+)?$/.test(address))
    throw new Error(`using "${address}" as the registry of the cluster: it is not HOST:PORT`);
  return { kind: 'given', kubeconfig, registry: address };
}

/** Why this machine cannot run a node, in words for its user; null when it can. */
export async function whyNoCluster(
  machine: { platform: string; user: number | undefined } = {
    platform: process.platform,
    user: process.getuid?.(),
  },
): Promise<string | null> {
  if (machine.platform !== 'linux') return `a Kubernetes node needs Linux, and this is ${machine.platform}`;
  if (machine.user !== 0) return `a Kubernetes node needs root, and this is user ${machine.user}`;
  const { failed, stderr, shortMessage } = await execa(
    'unshare',
    [...['--fork', '--pid', '--mount-proc', '--net', '--mount', '--uts', '--'], ...['sh', '-c', probe]],
    { reject: false, timeout: 10_000 },
  );
  if (failed)
    return `this machine does not let a node have its namespaces: ${stderr?.trim() || shortMessage}`;
  return await whyNoCgroups();
}

/** What the node's network is made of; where there is no `ip` yet, it will be installed. */
const probe =
  'command -v ip >/dev/null || exit 0; ip link add probe0 type veth peer name probe1 && ip link add probe2 type bridge';
