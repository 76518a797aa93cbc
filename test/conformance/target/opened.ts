import { after, before } from 'node:test';
import type { ServeSpec } from '../../../contract/deploy.js';
import type { ImageRef } from '../../../contract/names.js';
import type { Progress, Replica } from '../../../contract/pipeline.js';
import type { PlannedReplica, ReplicaSet, Target, Watch } from '../../../platform/targets/index.js';
import type { Behaviour } from '../../targets/probe.js';
import type { LateLine } from './late-line.js';

export type Changes = Partial<Omit<ServeSpec, 'kubernetes'>>;
export type Of = { token: number; role?: ReplicaSet['role']; service?: string };

/** A target of an installation that nobody else uses, and what people may do behind its back. */
export type Opened = {
  target: Target;
  /** The image of a probe that behaves so. */
  probe(behaviour?: Behaviour): Promise<ImageRef>;
  set(image: ImageRef, changes: Changes, of: Of): ReplicaSet;
  /** Waits until what was started is ready; it answers where anything does. */
  ready(set: ReplicaSet, replicas: Replica[]): Promise<void>;
  /** What shows whether a replica was made anew, or started again, since. */
  identity(replica: PlannedReplica): Promise<string>;
  /** Another installation on the same servers. */
  neighbour(): Promise<Pick<Opened, 'target' | 'set'>>;
  /** The same installation while its servers cannot be reached. */
  away(): Promise<Target>;
  /** The same installation, whose requests take a line of their own; closed with this one. */
  overLine(): Promise<{ target: Target; line: LateLine }>;
  /** Everything the installation has on its servers for the sake of replicas, by name. */
  everything(): Promise<string[]>;
  /** Somebody has something of their own under the name of a replica; answers whether it is still there. */
  squat(replica: PlannedReplica): Promise<() => Promise<boolean>>;
  /** Runs a command in every process of a replica. */
  inside(replica: Replica, ...command: string[]): Promise<void>;
  /** The words of a replica's processes. */
  log(replica: Replica): Promise<string>;
  /** Somebody removes it. */
  snatch(replica: Replica): Promise<void>;
  /** Nothing is left. */
  close(): Promise<void>;
};
export type Open = () => Promise<Opened>;

/**
 * Called in a `describe`: its tests share a target of their own, and each of them asks for tokens that no other one has.
 * Handed over before the first.
 */
export function withTarget(open: Open, hand: (dock: Dock) => void): void {
  let opened: Opened | undefined;
  before(async () => {
    opened = await open();
    hand(new Dock(opened));
  });
  after(async () => await opened?.close());
}

/** What tests do with a target. */
export class Dock {
  #tokens = 0;

  constructor(readonly opened: Opened) {}

  get target(): Target {
    return this.opened.target;
  }

  /** A fencing token that was not used here. */
  token(): number {
    return (this.#tokens += 1);
  }

  /** What hangs is given up. */
  watch(signal = AbortSignal.timeout(120_000), onProgress: (progress: Progress) => void = () => {}): Watch {
    return { signal, onProgress };
  }

  /** A set of probes that behave so. */
  async set(behaviour: Behaviour = {}, changes: Changes = {}, of: Partial<Of> = {}): Promise<ReplicaSet> {
    const image = await this.opened.probe(behaviour);
    return this.opened.set(image, changes, { token: of.token ?? this.token(), ...of });
  }

  async start(set: ReplicaSet, watch = this.watch()): Promise<Replica[]> {
    await this.target.pull(set, watch);
    const replicas: Replica[] = [];
    for (const planned of this.target.place(set)) replicas.push(await this.target.start(set, planned, watch));
    return replicas;
  }

  async up(set: ReplicaSet): Promise<Replica[]> {
    const replicas = await this.start(set);
    await this.opened.ready(set, replicas);
    return replicas;
  }

  async remove(replicas: PlannedReplica[] | Replica[], grace = 0): Promise<void> {
    await Promise.all(replicas.map((replica) => this.target.remove(replica, grace)));
  }

  /** Names of the replicas with this token. */
  async there(token: number): Promise<string[]> {
    return (await this.target.list({ token })).map(({ name }) => name).sort();
  }

  /** Something to compare: what there is of a service, as a list tells it. */
  async allOf(service: string): Promise<unknown[]> {
    const found = await this.target.list({ service });
    return found.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }
}
