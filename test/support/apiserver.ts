import { dirname, join } from 'node:path';
import { ClusterConfig } from '../../contract/stack.js';
import { kube } from '../../infra/local/tools/kube.js';
import { getTool } from '../../infra/local/tools/tool.js';
import { controlPlane, type ControlPlane } from './control-plane.js';

/**
 * The real Kubernetes control plane with one simulated node that the test run started, shared by all files that import
 * this one: each has namespaces of its own, and own names for what is in none. Its pods are ready at once and answer nobody.
 * It knows HTTPRoutes.
 */
export async function testApiserver(): Promise<ControlPlane> {
  const kubeconfig = process.env['SLIPWAY_TEST_APISERVER'];
  if (!kubeconfig)
    throw new Error(
      'SLIPWAY_TEST_APISERVER names no kubeconfig: "npm test -- FILE" starts a control plane for a test that imports ' +
        'test/support/apiserver.ts',
    );
  return await controlPlaneAt(kubeconfig);
}

/** Any other one whose nodes are simulated. */
export const controlPlaneAt = async (kubeconfig: string): Promise<ControlPlane> =>
  controlPlane({
    // No node pulls, and nothing is at a port of one.
    config: ClusterConfig.parse({ kubeconfig, registry: 'registry.test:5000', address: '127.0.0.1' }),
    kubeconfig,
    kubectl: join(await kubePrograms(), 'kubectl'),
    cache: join(dirname(kubeconfig), 'kubectl'),
  });

/** Folder of the programs that a control plane consists of. */
export const kubePrograms = async (): Promise<string> =>
  dirname(await getTool(kube, () => undefined, AbortSignal.timeout(40 * 60_000)));
