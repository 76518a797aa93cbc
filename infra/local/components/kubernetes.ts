import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeAtomically } from '../files.js';
import { checkCluster } from '../kubernetes/client.js';
import { kubeconfig } from '../kubernetes/files.js';
import { clearNode } from '../kubernetes/keeper.js';
import { addressesOf, nodeData, nodeNames, nodeNetwork, type ClusterNode } from '../kubernetes/node.js';
import { findOwned, stopProcess } from '../processes.js';
import { saveSettings } from '../settings.js';
import { chooseSubnet, isUnused } from '../subnet.js';
import { nodePackages } from '../tools/node-packages.js';
import type { Component, Local } from './component.js';
import { ensureProcess, problemOf, runningPid, stopServer, type ServerProcess } from './server-process.js';

/**
 * A Kubernetes of one node, in namespaces of its own, for the stack alone. One process of ours keeps it: it starts
 * every program of the node and starts again what ends.
 */
export function kubernetes(local: Local): Component {
  const { home, settings, ports, tools, report, signal } = local;
  const names = nodeNames(home);
  const { cluster } = settings;
  if (cluster?.kind !== 'own') throw new Error('the stack has no Kubernetes of its own');
  const describe = (programs: string, plugins: string): ClusterNode => ({
    ...names,
    ...addressesOf(cluster.subnet ?? 0),
    owner: `${home.name}/kubernetes`,
    data: nodeData(home),
    runtime: home.nodeRuntime,
    logs: home.logs,
    programs,
    plugins,
    token: cluster.token,
    registry: ports.registry,
  });
  const isLinked = (): boolean => existsSync(`/sys/class/net/${names.link}`);
  const clear = async (): Promise<void> => {
    for (const id of await findOwned(`${home.name}/kubernetes`)) await stopProcess(id, 'SIGKILL', 0);
    await clearNode({ ...names, runtime: home.nodeRuntime });
  };
  const server: ServerProcess = {
    home,
    name: 'kubernetes',
    report,
    signal,
    budget: 180_000,
    stop: { signal: 'SIGTERM', grace: 40_000 },
    prepare: async () => {
      const [kube, plugins] = await Promise.all([
        tools.kube(),
        nodePackages((doing) => report.step('kubernetes', doing), signal),
      ]);
      if (cluster.subnet === null || (!isLinked() && !(await isUnused(nodeNetwork, cluster.subnet)))) {
        cluster.subnet = await chooseSubnet(nodeNetwork, home);
        await saveSettings(home, settings);
      }
      await mkdir(nodeData(home), { recursive: true });
      const file = join(home.run, 'node.json');
      const content = JSON.stringify(describe(dirname(kube), plugins), null, 2);
      await writeAtomically(file, content);
      return {
        command: process.execPath,
        args: ['--enable-source-maps', keeper, file],
        version: content + (await codeVersion()),
      };
    },
    clear,
    check: (abort) => checkCluster(describe('', ''), abort),
  };
  return {
    name: 'kubernetes',
    get url() {
      return cluster.subnet === null ? '' : `https://${addressesOf(cluster.subnet).address}:6443`;
    },
    async ensure() {
      const done = await ensureProcess(server);
      const pem = await readFile(join(nodeData(home), 'keys', 'apiserver.crt'), 'utf8');
      const content = kubeconfig(describe('', ''), { pem });
      // Untouched when nothing has changed: others may watch the file.
      if (content !== (await readFile(home.kubeconfig, 'utf8').catch(() => '')))
        await writeAtomically(home.kubeconfig, content);
      return done;
    },
    async stop() {
      await stopServer(server);
      await clear();
      await rm(home.kubeconfig, { force: true });
    },
    problem: () => problemOf(server),
    pid: () => runningPid(server),
  };
}

const keeper = fileURLToPath(new URL('../kubernetes/main.js', import.meta.url));

/** Digest of the code that keeps the node: it is restarted when that changes, and not with every build. */
async function codeVersion(): Promise<string> {
  const folder = dirname(keeper);
  const hash = createHash('sha256');
  for (const name of (await readdir(folder)).filter((name) => name.endsWith('.js')).sort())
    hash.update(await readFile(join(folder, name)));
  return hash.digest('hex');
}
