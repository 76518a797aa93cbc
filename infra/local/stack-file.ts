import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { z } from 'zod';
import { type ClusterConfig, Stack } from '../../contract/stack.js';
import type { ImageRef } from '../../contract/names.js';
import { bucket } from './components/minio.js';
import { postgresUrl } from './components/postgres.js';
import type { Engine } from './engine.js';
import { readIfPresent, writeAtomically } from './files.js';
import type { Home } from './home.js';
import type { Ports } from './ports.js';
import { addressesOf } from './kubernetes/node.js';
import type { Settings } from './settings.js';

/** Name of the node that is this machine's engine. */
export const localNode = 'local';

/**
 * Writes what every Slipway process is configured by. Kept as someone changed them in the file: limits, drain time,
 * pickle consent, what analyses may ask, what nodes pull with, the encryption of what Temporal keeps, the local node's
 * ports and egress, further nodes. Everything else follows from the stack.
 */
export async function writeStack(
  home: Home,
  settings: Settings,
  ports: Ports,
  engine: Engine,
  base: ImageRef,
): Promise<Stack> {
  const { secrets } = settings;
  const kept = await readStack(home);
  const own = kept?.nodes.find(({ name }) => name === localNode);
  const cluster = clusterConfig(home, settings, ports, kept?.cluster ?? null);
  const local = (port: number): string => `http://127.0.0.1:${port}`;
  const state = join(home.data, 'state');
  await mkdir(state, { recursive: true, mode: 0o700 });
  const stack = Stack.parse({
    api: local(ports.api),
    gateway: local(ports.gateway),
    token: secrets.token,
    temporal: {
      address: `127.0.0.1:${ports.temporal}`,
      namespace: 'default',
      taskQueue: kept?.temporal.taskQueue,
      ui: local(ports.temporalUi),
      encryption: kept?.temporal.encryption,
    },
    s3: { endpoint: local(ports.s3), ...secrets.s3, bucket },
    registry: {
      url: local(ports.registry),
      prefix: kept?.registry.prefix,
      username: secrets.registry.username,
      password: secrets.registry.password,
      pull: kept?.registry.pull,
    },
    postgres: postgresUrl(ports.postgres, secrets.postgres),
    docker: engine.docker,
    dockerRegistry: undefined,
    kubeconfig: cluster?.kubeconfig ?? null,
    base,
    nodes: [
      {
        name: localNode,
        docker: engine.docker,
        registry: `127.0.0.1:${ports.registry}`,
        ports: own?.ports ?? replicaPorts(home),
        egress: own?.egress,
      },
      ...(kept?.nodes.filter(({ name }) => name !== localNode) ?? []),
    ],
    cluster,
    build: buildConfig(engine),
    archives: kept?.archives,
    // A Prometheus beside the stack is on this machine; `up` says so.
    analysis: kept?.analysis ?? { allow: ['127.0.0.0/8', '::1'] },
    cache: { path: join(home.data, 'cache'), maxBytes: kept?.cache.maxBytes },
    state,
    // Trying things out on one's own machine is what the local stack is for; `up` says so.
    allowPickle: kept?.allowPickle ?? true,
    name: home.name,
    listen: kept?.listen,
    workerMetrics: `127.0.0.1:${ports.workerMetrics}`,
    drain: kept?.drain,
  } satisfies Record<keyof Stack, unknown>);
  await mkdir(dirname(home.stackFile), { recursive: true });
  await writeAtomically(home.stackFile, `${JSON.stringify(stack, null, 2)}\n`);
  return stack;
}

/** The stack file as it is, or null where there is none or it is not one. */
export async function readStack(home: Home): Promise<Stack | null> {
  const text = await readIfPresent(home.stackFile);
  return text === null ? null : (Stack.safeParse(JSON.parse(text)).data ?? null);
}

/**
 * Where the cluster is follows from what was chosen, or from the file where nothing ever was; what may be done there is
 * kept as someone changed it.
 */
function clusterConfig(
  home: Home,
  { cluster: chosen }: Settings,
  ports: Ports,
  kept: Stack['cluster'],
): z.input<typeof ClusterConfig> | null {
  if (chosen === undefined) return kept?.kubeconfig === home.kubeconfig ? null : kept;
  if (chosen === null) return null;
  const kubeconfig = chosen.kind === 'own' ? home.kubeconfig : chosen.kubeconfig;
  const same = kept?.kubeconfig === kubeconfig ? kept : null;
  if (chosen.kind === 'given') return { ...same, kubeconfig, registry: chosen.registry };
  const { machine, address } = addressesOf(chosen.subnet ?? 0);
  return { ...same, kubeconfig, registry: `${machine}:${ports.registry}`, reach: 'nodePort', address };
}

/** 500 ports of 20000 to 29999, others for other stacks on the machine as far as possible. */
function replicaPorts(home: Home): [number, number] {
  const first = 20_000 + (parseInt(home.id, 16) % 20) * 500;
  return [first, first + 499];
}

/** What the user's environment says about the way out goes for builds too. */
function buildConfig(engine: Engine): Stack['build'] {
  const { env } = process;
  const either = (name: string): string | undefined => env[name] || env[name.toLowerCase()] || undefined;
  const caBundle = [env['SLIPWAY_CA_BUNDLE'], env['PIP_CERT'], env['SSL_CERT_FILE']].find(
    (path) => path && existsSync(path),
  );
  const [pipIndex, httpProxy, httpsProxy, noProxy] = [
    env['PIP_INDEX_URL'],
    either('HTTP_PROXY'),
    either('HTTPS_PROXY'),
    either('NO_PROXY'),
  ];
  const named = env['SLIPWAY_BUILD_NETWORK'];
  if (named && named !== 'host' && named !== 'default')
    throw new Error(`reading SLIPWAY_BUILD_NETWORK: "${named}" is neither "host" nor "default"`);
  return {
    ...(caBundle && { caBundle }),
    ...(pipIndex && { pipIndex }),
    ...(httpProxy && { httpProxy }),
    ...(httpsProxy && { httpsProxy }),
    ...(noProxy && { noProxy }),
    // The bridge of a private engine may have no way out.
    network: named === 'host' || (!named && engine.kind === 'private') ? 'host' : 'default',
  };
}
