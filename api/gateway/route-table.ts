import type { Route } from '../../contract/pipeline.js';
import { Replica } from './replica.js';

/** A replica that refused a connection is passed over for so long, while there are others. */
const refusalMemory = 1_000;

export type Upstream = { route: Route; replicas: Replica[] };

/** Where requests go: the routes of one version, and the connections to the replicas they name. */
export class RouteTable {
  /** Version served; null before any routes are known. */
  version: number | null = null;
  private upstreams = new Map<string, Upstream>();
  private replicas = new Map<string, Replica>();

  constructor(private readonly answerTimeout: number) {}

  find(service: string): Upstream | undefined {
    return this.upstreams.get(service);
  }

  /** The replica for the next request: the one with the fewest in flight, the longest unused first among equals. */
  choose({ replicas }: Upstream): Replica | undefined {
    const now = performance.now();
    const willing = replicas.filter(({ refusedAt }) => now - refusedAt > refusalMemory);
    // The one that refused longest ago may be back first.
    if (willing.length === 0) return leastBy(replicas, ({ refusedAt }) => refusedAt);
    const chosen = leastBy(willing, ({ inFlight }) => inFlight);
    if (chosen) replicas.push(...replicas.splice(replicas.indexOf(chosen), 1));
    return chosen;
  }

  /**
   * Serves these routes from now on. Answers when requests in flight to replicas that no route names any more have
   * ended; a request that was on its way to one has then either been answered or gone elsewhere.
   */
  adopt(version: number, routes: Route[]): Promise<unknown> {
    const before = this.replicas;
    this.replicas = new Map();
    this.upstreams = new Map(
      routes.map((route) => {
        const replicas = route.replicas.map(({ url }) => this.replicaAt(url, before));
        return [route.service, { route, replicas }];
      }),
    );
    this.version = version;
    const removed = [...before.values()].filter(({ url }) => !this.replicas.has(url));
    return Promise.all(removed.map((replica) => replica.close()));
  }

  close(): Promise<unknown> {
    return this.adopt(this.version ?? 0, []);
  }

  private replicaAt(url: string, before: Map<string, Replica>): Replica {
    const known = this.replicas.get(url) ?? before.get(url) ?? new Replica(url, this.answerTimeout);
    this.replicas.set(url, known);
    return known;
  }
}

function leastBy<T>(items: T[], measure: (item: T) => number): T | undefined {
  let least: T | undefined;
  for (const item of items) if (least === undefined || measure(item) < measure(least)) least = item;
  return least;
}
