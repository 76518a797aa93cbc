import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { aptInstall } from './apt.js';
import { which } from './path.js';
import type { Say } from './tool.js';

/** What a node runs beside Kubernetes itself, and the packages it comes in. */
const needed: Record<string, string> = {
  containerd: 'containerd',
  ctr: 'containerd',
  runc: 'runc',
  iptables: 'iptables',
  'iptables-restore': 'iptables',
  ip: 'iproute2',
  sysctl: 'procps',
  openssl: 'openssl',
  mount: 'mount',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
};

/** Where distributions put the CNI plugins. */
const pluginFolders = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni'];
const plugins = ['bridge', 'host-local', 'loopback', 'portmap'];

/**
 * Makes sure that the programs of a node are installed, and answers the folder of the CNI plugins. As root on Debian
 * and Ubuntu it installs what is missing; otherwise it throws an error that names it.
 */
export async function nodePackages(say: Say, signal: AbortSignal): Promise<string> {
  const missing = await missingPackages();
  if (missing.length > 0) {
    say(`installing ${missing.join(' ')} with apt-get`);
    try {
      await aptInstall(missing, say, signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw new Error(
        `finding what a Kubernetes node needs: ${missing.join(', ')} missing. Install them, then run "slipway up" again.`,
        { cause },
      );
    }
  }
  const folder = findPlugins();
  if (folder === null)
    throw new Error(`finding the CNI plugins ${plugins.join(', ')}: not in ${pluginFolders.join(', ')}`);
  return folder;
}

/** Packages of what is not there. */
export async function missingPackages(): Promise<string[]> {
  const missing = new Set<string>();
  for (const [program, name] of Object.entries(needed))
    if ((await which(program)) === null) missing.add(name);
  if (findPlugins() === null) missing.add('containernetworking-plugins');
  return [...missing];
}

const findPlugins = (): string | null =>
  pluginFolders.find((folder) => plugins.every((name) => existsSync(join(folder, name)))) ?? null;
