import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { ApiextensionsV1Api, KubeConfig, type V1CustomResourceDefinition } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { simulatedCluster } from '../../infra/local/kubernetes/simulated.js';
import { kubePrograms } from './apiserver.js';
import { serverPort } from './ports.js';
import { until } from './until.js';

// The control plane of `apiserver.ts`. Says where it is once it is ready; ends, and leaves nothing, when it is told to or
// whoever started it is gone.

const over = new AbortController();
const end = (): void => over.abort(new Error('told to end'));
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, end);
process.stdin.on('close', end).resume();

const cluster = await simulatedCluster(
  // One node, of which tests tell what there is room for; more pods than all of them have at a time.
  { programs: await kubePrograms(), nodes: 1, podsPerNode: 2_000, memory: '256Gi', port: serverPort },
  (doing) => console.error(doing),
  over.signal,
);
try {
  await installHttpRoute(cluster.kubeconfig);
  console.log(`ready ${JSON.stringify({ SLIPWAY_TEST_APISERVER: cluster.kubeconfig })}`);
  if (!over.signal.aborted) await once(over.signal, 'abort');
} finally {
  await cluster.stop();
}
process.exit(0);

/** The kind that a canary divides traffic by, as a cluster with the Gateway API has it. */
async function installHttpRoute(kubeconfig: string): Promise<void> {
  const path = fileURLToPath(new URL('../../../test/kubernetes/httproute.yaml', import.meta.url));
  const body = parse(await readFile(path, 'utf8')) as V1CustomResourceDefinition;
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const api = config.makeApiClient(ApiextensionsV1Api);
  await api.createCustomResourceDefinition({ body });
  const name = body.metadata!.name!;
  await until(async () => {
    const { status } = await api.readCustomResourceDefinition({ name });
    return (
      status?.conditions?.some(({ type, status: is }) => type === 'Established' && is === 'True') || null
    );
  });
}
