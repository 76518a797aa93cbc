import type { ServeSpec, TargetKind } from '../../contract/deploy.js';
import type { ImageRef } from '../../contract/names.js';
import type { Grant, OnProgress, Replica } from '../../contract/pipeline.js';
import type { Strategy } from '../../contract/strategy.js';

/** What runs in each replica, and under whose name. */
export type ReplicaSet = {
  grant: Grant;
  release: string;
  model: string;
  image: ImageRef;
  spec: ServeSpec;
  /** `check`: a candidate for a source check, never routed. */
  role: 'serve' | 'check';
};

/** A new set that is to take over from the live one: before any of its replicas exists. */
export type PlannedTakeover = {
  set: ReplicaSet;
  strategy: Strategy;
  /** What has the traffic now and runs on this same target; empty when nothing does. */
  live: Replica[];
};

/** A new set on its way to take over from the live one. */
export type Takeover = PlannedTakeover & { replicas: Replica[] };

/** A replica's place and name, known before it exists, so that the journal can name it. */
export type PlannedReplica = { node: string; name: string; ordinal: number };

export type ReplicaState = {
  node: string;
  name: string;
  service: string;
  release: string;
  token: number;
  role: string;
  deployment: string;
  image: string;
  running: boolean;
  exitCode: number | null;
  oomKilled: boolean;
  restarts: number;
  url: string | null;
};

export type Watch = { onProgress: OnProgress; signal: AbortSignal };

/**
 * Where services run: `docker.ts`, `kubernetes/`. Requests through the gateway follow the catalog's route; what a
 * target does with traffic of its own (Services, Ingress) follows here, in the same steps.
 */
export interface Target {
  readonly kind: TargetKind;
  /**
   * Finds out without changing anything whether a set could be rolled out so. `set.image` may not exist yet. Throws
   * `InvalidInput`, `NotFound` or `RolloutFailed` naming the object and what is missing; answers warnings.
   */
  admit(takeover: PlannedTakeover, watch: Watch): Promise<string[]>;
  /** Places replicas on nodes, deterministically. */
  place(set: ReplicaSet): PlannedReplica[];
  /** Makes sure every node of the set holds the image by digest; a local copy will do when the registry is away. */
  pull(set: ReplicaSet, watch: Watch): Promise<void>;
  /**
   * Starts one replica without traffic, or finds it as it should be: with `takeover`, no more of it than the strategy
   * wants to begin with. Throws `RolloutFailed` naming the cause (no such image, no memory, no free port, disk full);
   * other errors may pass.
   */
  start(
    set: ReplicaSet,
    replica: PlannedReplica,
    watch: Watch,
    takeover?: Pick<PlannedTakeover, 'strategy' | 'live'>,
  ): Promise<Replica>;
  /**
   * Waits until every replica answers ready. Answers how many processes these are: a cluster runs several behind one
   * address. Throws `RolloutFailed` with exit state and last log lines as soon as one has ended, or when the start-up
   * budget is used up.
   */
  awaitReady(set: ReplicaSet, replicas: Replica[], watch: Watch): Promise<number>;
  /**
   * What undo needs to put this service's own traffic, and the number of live replicas, back as they are now. JSON
   * without secrets. Null when the target has no traffic of its own.
   */
  traffic(takeover: Takeover, watch: Watch): Promise<unknown>;
  /**
   * `rolling`: replaces the live replicas by new ones within the strategy's bounds. Calls `onShare` with the percent of
   * replicas that are new whenever it has changed, and goes on when that has returned. Repeated, it goes on where it was.
   */
  roll(takeover: Takeover, watch: Watch, onShare: (percent: number) => Promise<void>): Promise<void>;
  /** `canary`: makes room for `weight` percent of the traffic and divides the target's own traffic so. */
  share(takeover: Takeover, weight: number, watch: Watch): Promise<void>;
  /**
   * Gives the set all replicas it should have, and then all of the target's own traffic. A `rolling` one that has not
   * got them from {@link roll}, because it is gone back to, gets them within the same bounds; `onShare` as there. Answers what somebody else has
   * changed in the replicas during the takeover, for people.
   */
  promote(takeover: Takeover, watch: Watch, onShare?: (percent: number) => Promise<void>): Promise<string[]>;
  /**
   * Undo of all of it: live replicas are back in number and ready, and have the traffic, when it returns. No late
   * attempt under the same grant may win afterwards. Answers what somebody else had changed meanwhile, for people.
   */
  restore(grant: Grant, before: unknown, watch: Watch): Promise<string[]>;
  /** Every replica of this installation, found by label, matching all given fields. */
  list(filter?: {
    service?: string;
    release?: string;
    token?: number;
    role?: string;
  }): Promise<ReplicaState[]>;
  /** Last log lines (default 200) with exit state, as text. Empty when the replica is gone. */
  evidence(replica: { node: string; name: string }, lines?: number): Promise<string>;
  /**
   * Stops with SIGTERM, waits `grace` ms for requests in flight, removes, and returns when it is gone. What is gone is
   * fine. Answers what people should know of it: that it went with more than itself.
   */
  remove(replica: { node: string; name: string }, grace: number): Promise<string[]>;
  /** Removes what a service has on this target beside its replicas, but for what belongs to those that are live. */
  withdraw(service: string, live: Replica[]): Promise<void>;
  /** Keeps these images on the nodes for rollback and removes this installation's other ones of the repository. */
  retain(repository: string, keep: ImageRef[]): Promise<void>;
}
