import type { Route } from '../../contract/pipeline.js';
import { Division } from './division.js';
import { Replica } from './replica.js';

/** A replica that refused a connection is passed over for so long, while there are others. */
const refusalMemory = 1_000;

/** A release that gets requests. */
export type Side = { release: string; replicas: Replica[] };
export type Upstream = { route: Route; live: Side; canary: Side | null; division: Division };
export type Chosen = { release: string; replica: Replica };

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

  /** Whether a release has a part of its service's requests. */
  names(service: string, release: string): boolean {
    const upstream = this.upstreams.get(service);
    return upstream?.live.release === release || upstream?.canary?.release === release;
  }

  /** The release that the next request is for; asked once for each, it divides them by weight. */
  assign({ live, canary, route, division }: Upstream): Side {
    return canary && division.next(route.canary?.weight ?? 0) ? canary : live;
  }

  /**
   * The replica for a request: of its own release while one accepts connections, otherwise of the other one that has
   * a part of the traffic. There the one with the fewest in flight, the longest unused first among equals.
   */
  choose({ live, canary, route }: Upstream, assigned: string): Chosen | undefined {
    const now = performance.now();
    const sides = canary && route.canary?.weight ? [live, canary] : [live];
    // What it was assigned to may have left the route while it was refused.
    const all = sides.toSorted((a, b) => Number(b.release === assigned) - Number(a.release === assigned));
    for (const { release, replicas } of all) {
      const willing = replicas.filter(({ refusedAt }) => now - refusedAt > refusalMemory);
      const replica = leastBy(willing, ({ inFlight }) => inFlight);
      if (!replica) continue;
      replicas.push(...replicas.splice(replicas.indexOf(replica), 1));
      return { release, replica };
    }
    // The one that refused longest ago may be back first.
    const each = all.flatMap(({ release, replicas }) => replicas.map((replica) => ({ release, replica })));
    return leastBy(each, ({ replica }) => replica.refusedAt);
  }

  /**
   * Serves these routes from now on. Answers when requests in flight to replicas that no route names any more have
   * ended; a request that was on its way to one has then either been answered or gone elsewhere.
   */
  adopt(version: number, routes: Route[]): Promise<unknown> {
    const before = { replicas: this.replicas, upstreams: this.upstreams };
    this.replicas = new Map();
    const side = ({ release, replicas }: Pick<Route, 'release' | 'replicas'>): Side => ({
      release,
      replicas: replicas.map(({ url }) => this.replicaAt(url, before.replicas)),
    });
    this.upstreams = new Map(
      routes.map((route) => [
        route.service,
        {
          route,
          live: side(route),
          canary: route.canary && side(route.canary),
          // Goes on counting: a new version must not begin every division anew.
          division: before.upstreams.get(route.service)?.division ?? new Division(),
        },
      ]),
    );
    this.version = version;
    const removed = [...before.replicas.values()].filter(({ url }) => !this.replicas.has(url));
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
