import type { ServeSpec } from '../../contract/deploy.js';
import type { ImageRef } from '../../contract/names.js';
import type { Grant, OnProgress, Replica } from '../../contract/pipeline.js';

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

/** Where services run. One implementation a file: `docker.ts` now, Kubernetes later. */
export interface Target {
  readonly kind: 'docker';
  /** Places replicas on nodes, deterministically. */
  place(set: ReplicaSet): PlannedReplica[];
  /** Makes sure every node of the set holds the image by digest; a local copy will do when the registry is away. */
  pull(set: ReplicaSet, watch: Watch): Promise<void>;
  /**
   * Starts one replica without traffic, or finds it as it should be. Throws `RolloutFailed` naming the cause
   * (no such image, no memory, no free port, disk full); other errors may pass.
   */
  start(set: ReplicaSet, replica: PlannedReplica, watch: Watch): Promise<Replica>;
  /**
   * Waits until every replica answers ready. Throws `RolloutFailed` with exit state and last log lines as soon as
   * one has ended, or when the start-up budget is used up.
   */
  awaitReady(set: ReplicaSet, replicas: Replica[], watch: Watch): Promise<void>;
  /** Every container of this installation, found by label, matching all given fields. */
  list(filter?: {
    service?: string;
    release?: string;
    token?: number;
    role?: string;
  }): Promise<ReplicaState[]>;
  /** Last log lines (default 200) with exit state, as text. Empty when the replica is gone. */
  evidence(replica: { node: string; name: string }, lines?: number): Promise<string>;
  /** Stops with SIGTERM, waits `grace` ms for requests in flight, removes. What is gone is fine. */
  remove(replica: { node: string; name: string }, grace: number): Promise<void>;
  /** Keeps these images on the nodes for rollback and removes this installation's other ones of the repository. */
  retain(repository: string, keep: ImageRef[]): Promise<void>;
}
