import { simulatedCluster, type SimulatedCluster } from '../../infra/local/kubernetes/simulated.js';
import { controlPlaneAt, kubePrograms } from '../support/apiserver.js';
import type { ControlPlane } from '../support/control-plane.js';
import { serverPort } from '../support/ports.js';
import { until } from '../support/until.js';

/** A control plane of a test's own with a simulated node, whose parts it may kill and freeze. */
export class OwnControlPlane {
  private constructor(
    readonly cluster: SimulatedCluster,
    readonly plane: ControlPlane,
  ) {}

  static async start(): Promise<OwnControlPlane> {
    const options = { programs: await kubePrograms(), nodes: 1, podsPerNode: 100, port: serverPort };
    const cluster = await simulatedCluster(options, () => undefined, new AbortController().signal);
    return new OwnControlPlane(cluster, await controlPlaneAt(cluster.kubeconfig));
  }

  /** Starts the apiserver that was killed, and waits until it says that it is ready. */
  async restart(): Promise<void> {
    await this.cluster.again('apiserver');
    await until(() => this.plane.kubectl(['get', '--raw', '/readyz']).catch(() => null), 120_000);
  }

  stop(): Promise<void> {
    return this.cluster.stop();
  }
}
