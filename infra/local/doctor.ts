import { stat, statfs } from 'node:fs/promises';
import { messageOf } from '../../contract/errors.js';
import { loadStack } from '../../platform/stack.js';
import { cachedBase } from './base-cache.js';
import { enabledComponents, type ComponentName } from './components/component.js';
import { componentOf, components } from './components/index.js';
import { askEngine } from './engine.js';
import { cacheFolder, type Home } from './home.js';
import { componentPorts, openLocal, runs } from './local.js';
import { isFree } from './ports.js';
import { silent } from './report.js';
import { readSettings, type Settings } from './settings.js';
import { readStack } from './stack-file.js';
import { tools } from './tools/index.js';
import { postgresFolder } from './tools/postgres.js';
import { which } from './tools/path.js';
import { findPresent } from './tools/tool.js';

/** One thing looked at. `ok` null: it does not matter now. */
export type Check = { check: string; ok: boolean | null; found: string; advice?: string };

/** Looks at everything a local stack needs and says what to do about what is wrong. Changes nothing. */
export async function examine(home: Home): Promise<Check[]> {
  const settings = await readSettings(home);
  const checks = [
    node(),
    ...(await Promise.all([...toolChecks(settings), disk('home', home.root), disk('cache', cacheFolder())])),
    await engine(settings),
  ];
  if (settings?.engine)
    checks.push(
      ...(await ports(home, settings)),
      ...(await servers(home)),
      await stackFile(home),
      ...(await pullCredentials(home)),
      ...(await egress(home)),
      ...(await givenCluster(home)),
    );
  else checks.push({ check: 'stack', ok: null, found: `none at ${home.root}`, advice: 'slipway up' });
  return checks;
}

const good = (check: string, found: string): Check => ({ check, ok: true, found });
const bad = (check: string, found: string, advice: string): Check => ({ check, ok: false, found, advice });

function node(): Check {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const fits = major > 20 || (major === 20 && minor >= 19);
  return fits
    ? good('node', process.version)
    : bad('node', process.version, 'install Node 20.19 or newer: https://nodejs.org/');
}

function toolChecks(settings: Settings | null): Promise<Check>[] {
  const tool = async (key: 'temporal' | 'minio' | 'registry' | 'docker' | 'kube'): Promise<Check> => {
    const path = await findPresent(tools[key]);
    if (path !== null) return good(tools[key].name, path);
    const canGet = (await which('go')) !== null || (await which('apt-get')) !== null;
    return {
      check: tools[key].name,
      ok: null,
      found: `not here yet; "slipway up" will ${canGet ? 'download, build or install' : 'download'} it`,
      advice: tools[key].advice,
    };
  };
  const postgres = async (): Promise<Check> => {
    try {
      return good('postgres', await postgresFolder());
    } catch (error) {
      return bad('postgres', messageOf(error), 'npm ci');
    }
  };
  const base = async (): Promise<Check> => {
    if (settings?.base) return good('base image', settings.base.digest);
    const cached = await cachedBase();
    return cached
      ? good('base image', cached.folder)
      : { check: 'base image', ok: null, found: 'not here yet; "slipway up" will pull or make it' };
  };
  const engines = settings?.engine?.kind === 'private' ? [tool('docker')] : [];
  const cluster = settings?.cluster?.kind === 'own' ? [tool('kube')] : [];
  return [tool('temporal'), tool('minio'), tool('registry'), postgres(), base(), ...engines, ...cluster];
}

async function disk(what: string, path: string): Promise<Check> {
  let folder = path;
  for (;;)
    try {
      const { bavail, bsize } = await statfs(folder);
      const free = bavail * bsize;
      const found = `${(free / 2 ** 30).toFixed(1)} GiB free at ${folder}`;
      const advice = 'free some: images, weights and builds take several GiB';
      return free < 5 * 2 ** 30 ? bad(`disk of ${what}`, found, advice) : good(`disk of ${what}`, found);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      folder = folder.replace(/\/[^/]*$/, '') || '/';
    }
}

async function engine(settings: Settings | null): Promise<Check> {
  const chosen = settings?.engine;
  if (!chosen)
    return { check: 'engine', ok: null, found: 'none chosen yet: one that answers, else a private one' };
  try {
    await askEngine(chosen.docker);
    return good('engine', `${chosen.docker} (${chosen.kind})`);
  } catch (error) {
    const advice = chosen.kind === 'private' ? 'slipway up' : 'start Docker';
    return bad('engine', messageOf(error), advice);
  }
}

async function ports(home: Home, settings: Settings): Promise<Check[]> {
  return await Promise.all(
    Object.entries(settings.ports).map(async ([name, port]) => {
      const component = componentPorts[name as keyof typeof componentPorts];
      const check = `port ${port}`;
      if (await runs(home, component)) return good(check, `${name}, held by ${component}`);
      return (await isFree(port))
        ? good(check, `${name}, free`)
        : bad(check, `${name}, taken by another program`, '"slipway up" will choose another port');
    }),
  );
}

async function servers(home: Home): Promise<Check[]> {
  const local = await openLocal(home, silent, new AbortController().signal, { keep: true });
  const all = components(local);
  const advice = `slipway up; logs are in ${home.logs}`;
  return await Promise.all(
    enabledComponents(local.settings).map(async (name: ComponentName) => {
      const problem = await componentOf(all, name).problem();
      return problem === null ? good(name, 'healthy') : bad(name, problem, advice);
    }),
  );
}

/** A cluster that is not the stack's own: does it answer, and with these credentials? */
async function givenCluster(home: Home): Promise<Check[]> {
  const cluster = (await readStack(home))?.cluster;
  if (!cluster || cluster.kubeconfig === home.kubeconfig) return [];
  const { bound, Connection } = await import('../../platform/targets/kubernetes/apiserver/connection.js');
  const { VersionApi } = await import('@kubernetes/client-node');
  const where = cluster.kubeconfig ?? "the pod's service account";
  try {
    const api = new Connection(cluster).makeApiClient(VersionApi);
    const { gitVersion } = await bound.run(AbortSignal.timeout(5_000), () => api.getCode());
    return [good('cluster', `Kubernetes ${gitVersion}, by ${where}; not started by "slipway up"`)];
  } catch (error) {
    return [bad('cluster', `${where}: ${messageOf(error)}`, 'start it, or "slipway up --no-kubernetes"')];
  }
}

/** Whom nodes pull as: whoever may read the Secrets of a namespace with models may do what that user may. */
async function pullCredentials(home: Home): Promise<Check[]> {
  const stack = await readStack(home);
  if (!stack) return [];
  const { username, pull } = stack.registry;
  const where = stack.cluster?.pullSecret ? 'nodes and Secrets of the cluster' : 'nodes';
  if (pull) return [good('pull credentials', `${where} have those of "${pull.username}"`)];
  return [
    {
      check: 'pull credentials',
      ok: null,
      found: `${where} have those of "${username}", who may push and delete: "registry.pull" of ${home.stackFile} names others`,
    },
  ];
}

/** What keeps models in the cluster from calling out; that it does, only its network knows. */
async function egress(home: Home): Promise<Check[]> {
  const cluster = (await readStack(home))?.cluster;
  if (!cluster) return [];
  const check = 'egress of pods';
  if (cluster.egress === 'open') return [{ check, ok: null, found: 'models may call out' }];
  return cluster.kubeconfig === home.kubeconfig
    ? [
        {
          check,
          ok: null,
          found: 'a NetworkPolicy, which this node does not enforce: it has no such network',
        },
      ]
    : [good(check, "a NetworkPolicy; it is the cluster's network that enforces it, or does not")];
}

async function stackFile(home: Home): Promise<Check> {
  try {
    await loadStack(home.stackFile);
    const { mode } = await stat(home.stackFile);
    return (mode & 0o077) === 0
      ? good('stack file', home.stackFile)
      : bad('stack file', 'it holds credentials and others may read it', `chmod 600 ${home.stackFile}`);
  } catch (error) {
    return bad('stack file', messageOf(error), 'slipway up');
  }
}
