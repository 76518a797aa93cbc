import type { CoreV1Event, V1Deployment, V1Pod } from '@kubernetes/client-node';
import { milliseconds } from '../../../contract/quantities.js';
import type { Watch } from '../index.js';
import type { Cluster } from './cluster.js';
import { diagnose, type Seen } from './diagnosis/diagnose.js';
import { explain } from './diagnosis/explain.js';
import { defaultGraces, isObserved, type Finding, type Graces } from './diagnosis/finding.js';
import { comesFromNodes } from './diagnosis/nodes.js';
import { Observer } from './apiserver/observer.js';
import { deploymentNamed, podsOf, warningsAbout } from './apiserver/selections.js';
import { isSame, Suspicion } from './diagnosis/suspicion.js';
import { listNow, type Followed } from './apiserver/watch.js';

/** Milliseconds after which events are followed too: most rollouts are over by then. */
const eventsAfter = 2_000;
/**
 * Milliseconds that nodes, scheduler and controllers are given to catch up once the apiserver is back: they pause for
 * up to half a minute between attempts to reach it. What may pass by itself is not held against a pod before.
 */
const settling = 45_000;
/** Milliseconds between two looks at nodes that may be the reason. */
const nodesAgain = 5_000;
/** Milliseconds an answer may take before the apiserver counts as having been away. */
const prompt = 2_000;

export type Wanted = {
  namespace: string;
  /** Name of the Deployment. */
  name: string;
  /** Default: what its spec asks for at the time. */
  replicas?: number;
  /** What a container may take from its start until it is ready, such as `5m`. */
  budget: string;
  /** Milliseconds that what may pass by itself is given; see {@link defaultGraces}. */
  graces?: Partial<Graces>;
};

/**
 * Waits until a Deployment has its replicas ready and available; answers how many were waited for. Throws
 * `RolloutFailed` with `{replica, pod, node, exitCode, oomKilled, logs, reason}` as soon as the cluster knows that it
 * cannot, or when a container's start-up budget is used up. A Deployment that is not there is a passing fault; an
 * apiserver that is away is a pause, its refusal final.
 */
export async function awaitWorkload(cluster: Cluster, wanted: Wanted, watch: Watch): Promise<number> {
  const observer = new Observer(cluster, `waiting for Deployment "${wanted.name}"`, watch.signal);
  try {
    return await new Wait(cluster, wanted, watch, observer).over();
  } finally {
    await observer.close();
  }
}

class Wait {
  readonly #began = Date.now();
  readonly #deployments: Followed<V1Deployment>;
  readonly #pods: Followed<V1Pod>;
  #events: Followed<CoreV1Event> | null = null;
  readonly #suspicion = new Suspicion();
  readonly #graces: Graces;
  #told = { message: '', at: 0 };
  /** Until when everybody is given time to catch up. */
  #settled = 0;

  constructor(
    readonly cluster: Cluster,
    readonly wanted: Wanted,
    readonly watch: Watch,
    readonly observer: Observer,
  ) {
    this.#deployments = observer.follow(deploymentNamed(wanted.namespace, wanted.name));
    this.#pods = observer.follow(podsOf(wanted.namespace, wanted.name));
    this.#graces = { ...defaultGraces, ...wanted.graces };
  }

  async over(): Promise<number> {
    const { namespace, name } = this.wanted;
    for await (const _ of this.observer.changes(500)) {
      const [deployment] = this.#deployments.all();
      this.#report(deployment);
      if (this.#isAway() || !this.#deployments.synced || !this.#pods.synced) continue;
      if (deployment === undefined)
        throw new Error(`Deployment "${name}" in namespace "${namespace}" is not there (any more)`);
      if (this.#isReady(deployment)) return this.#replicas(deployment);
      if (Date.now() - this.#began > eventsAfter)
        this.#events ??= this.observer.follow(warningsAbout(namespace, name));
      await this.#judge(deployment);
    }
    throw new Error('the observer has ended');
  }

  #isAway(): boolean {
    if (!this.#deployments.away && !this.#pods.away) return false;
    this.#wasAway();
    return true;
  }

  #wasAway(): void {
    this.#suspicion.clear();
    this.#settled = Date.now() + settling;
  }

  /**
   * By the Deployment's status, although pods are ready sooner: old replicas go once new ones are, and requests find
   * these by endpoints that other controllers of the same process write. After a minute without an apiserver, pods were
   * seen ready up to 53 s before endpoints led to them; the status came 1 to 44 s after these. And pods that are
   * ready may be about to go, when their ReplicaSet was told to shrink before and has not been heard of since.
   */
  #isReady(deployment: V1Deployment): boolean {
    const { readyReplicas = 0, availableReplicas = 0, updatedReplicas = 0 } = deployment.status ?? {};
    const least = Math.min(readyReplicas, availableReplicas, updatedReplicas);
    return isObserved(deployment) && least >= this.#replicas(deployment);
  }

  #replicas(deployment: V1Deployment | undefined): number {
    return this.wanted.replicas ?? deployment?.spec?.replicas ?? 1;
  }

  /** Throws when what is wrong is certain, and still so when asked again. */
  async #judge(deployment: V1Deployment): Promise<void> {
    const events = this.#events?.all() ?? [];
    const finding = this.#overdue({ deployment, pods: this.#pods.all(), events });
    if (finding === undefined) return;
    const now = await this.#askAgain(events);
    const still = now && this.#findings(now).find((other) => isSame(other, finding));
    if (!still) return;
    const { cluster, watch, wanted } = this;
    const patient = this.#suspicion.lasted(still) < this.#graces.away;
    if (patient && (await comesFromNodes(cluster, still, watch.signal)))
      this.#suspicion.postpone(still, nodesAgain);
    else throw await explain(cluster, still, wanted, watch.signal);
  }

  #findings(seen: Seen): Finding[] {
    const now = Date.now() + this.#deployments.clockOffset;
    return diagnose(seen, now, milliseconds(this.wanted.budget), this.#graces);
  }

  #overdue(seen: Seen): Finding | undefined {
    const settled = Date.now() > this.#settled;
    const findings = this.#findings(seen).filter(({ late, grace }) => settled || (!late && grace === 0));
    return this.#suspicion.overdue(findings);
  }

  /** A watch whose apiserver hangs tells nothing new: what is read now counts. Null when nothing can be read. */
  async #askAgain(events: CoreV1Event[]): Promise<Seen | null> {
    const { namespace, name } = this.wanted;
    const began = Date.now();
    try {
      const [{ items: deployments }, { items: pods }] = await Promise.all([
        listNow(this.cluster, deploymentNamed(namespace, name), this.watch.signal),
        listNow(this.cluster, podsOf(namespace, name), this.watch.signal),
      ]);
      if (deployments[0] && Date.now() - began < prompt) return { deployment: deployments[0], pods, events };
    } catch {
      this.watch.signal.throwIfAborted();
    }
    this.#wasAway();
    return null;
  }

  #report(deployment: V1Deployment | undefined): void {
    const { wanted, watch } = this;
    const away = this.#deployments.away ?? this.#pods.away;
    const total = this.#replicas(deployment);
    const done = Math.min(deployment?.status?.readyReplicas ?? 0, total);
    const since = (time: number) => Math.round((Date.now() - time) / 1000);
    const pause = away ? `; no word from the cluster for ${since(away.since)} s: ${away.why}` : '';
    const message = `${done} of ${total} ready after ${since(this.#began)} s of ${wanted.budget}${pause}`;
    if (message === this.#told.message && Date.now() - this.#told.at < 1_000) return;
    this.#told = { message, at: Date.now() };
    watch.onProgress({ message, done, total, unit: 'replicas' });
  }
}
