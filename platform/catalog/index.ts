import type { Effect, JournalEntry } from '../../contract/journal.js';
import type { DeploymentRef, Grant, Release, Replica, Route } from '../../contract/pipeline.js';
import type { TrafficFigures } from '../../contract/traffic.js';
import type { AuditEntry, GrantOutcome, ServiceRecord } from '../../contract/service.js';

/**
 * What others read: services, releases, routes, gateways, audit, and the effect journal.
 * Every method is one transaction and idempotent: repeated after a lost reply, it changes nothing more.
 * Methods that take a {@link Grant} are fenced: they throw `Conflict` ("fenced: …") when the grant's token
 * is not the service's current one, its holder is another deployment, or its undo has begun.
 */
export interface Catalog {
  /**
   * Gives the service's next fencing token, above `floor`, and closes another holder's open grant as `lost`. A run
   * gets one grant in its life: asked again it answers the same token, also when that grant has ended meanwhile.
   */
  openGrant(service: string, holder: DeploymentRef, floor: number): Promise<number>;
  /** From here on nothing new can be done under the grant. Idempotent; unknown or closed grants are ignored. */
  beginUndo(grant: Grant): Promise<void>;
  /**
   * Ends the grant: on `succeeded` its `done` effects become `kept`. Ignored when it has ended already; but a
   * success of what is being undone, or has ended otherwise, is refused with `Conflict`.
   */
  closeGrant(grant: Grant, outcome: GrantOutcome): Promise<void>;

  /** Writes an effect down before it happens, under its key. Fenced. An entry already undone is refused too. */
  recordEffect(grant: Grant, effect: Effect): Promise<JournalEntry>;
  /**
   * After it happened. False when the grant is no longer good: the caller must take its effect back at once. True
   * again for an effect that is `kept`.
   */
  completeEffect(entry: JournalEntry): Promise<boolean>;
  /** Effects of a grant that are `intended` or `done`, newest first. */
  openEffects(service: string, token: number): Promise<JournalEntry[]>;
  markUndone(id: number): Promise<void>;
  /**
   * Calls `act` unless something rests on this digest: a release that was not taken back (its image or source image), or
   * an open effect of any service but those of the grant `except`. No effect that names the digest is recorded meanwhile.
   * Answers whether it was called.
   */
  whileUnnamed(
    digest: string,
    except: { service: string; token: number },
    act: () => Promise<void>,
  ): Promise<boolean>;
  /** Every entry that is still `intended` or `done`, for the census. */
  allOpenEffects(): Promise<JournalEntry[]>;

  getService(service: string): Promise<ServiceRecord | null>;
  listServices(): Promise<ServiceRecord[]>;

  /**
   * The shift, in one transaction: inserts the release, moves the route to `replicas` under a new version, sets
   * live/previous/lastVerified, completes the `route` effect, wakes gateways. Fenced. Answers the new route; repeated,
   * the same one. What served before is kept for `keep` ms, see {@link keptReplicas}. Throws `Conflict` when the journal has no `route` effect for this release.
   */
  shift(grant: Grant, release: Release, replicas: Replica[], keep?: number): Promise<Route>;
  /**
   * Sends `weight` percent of the requests to a release on its way, under a new version of the route (repeated with the
   * same, the same version). Fenced. Throws `Conflict` when there is no route to divide, or the journal has no `route`
   * effect for the release. Changes nothing once the release has been shifted to.
   */
  weigh(grant: Grant, canary: { release: string; replicas: Replica[]; weight: number }): Promise<Route>;
  /**
   * Replicas of releases that served before and stay for a while, so that going back is instant; `remaining` in
   * milliseconds by the catalog's clock. What serves again, or was taken back, is not among them.
   */
  keptReplicas(
    service: string,
  ): Promise<{ release: string; replicas: Replica[]; expired: boolean; remaining: number }[]>;
  /**
   * What a gateway has counted since it started, by service and release. `gateway` names one run of it. A report that
   * was overtaken by a later one changes nothing.
   */
  reportTraffic(
    gateway: string,
    counts: { service: string; release: string; figures: TrafficFigures }[],
  ): Promise<void>;
  /**
   * What all gateways have counted of a release; never less than before, while a route names it and for a week after
   * its last request.
   */
  trafficOf(service: string, release: string): Promise<TrafficFigures>;
  /**
   * Undo of the shift: puts the previous route back (or none) under a new version; marks the release taken back and
   * the effect undone. Not fenced. Changes no route when another release has it by now, or the effect is undone or
   * kept already. Answers the route as it is then.
   */
  unshift(entry: JournalEntry): Promise<Route | null>;

  /** Null also for a release that was taken back. */
  getRelease(id: string): Promise<Release | null>;
  /** Newest first; without those taken back. */
  listReleases(service: string): Promise<Release[]>;

  routes(): Promise<{ version: number; routes: Route[] }>;
  getRoute(service: string): Promise<Route | null>;
  /**
   * Calls back when listening has begun, after every change of a route, and after a lost connection is back; a
   * server that is away is waited for. Ends with the returned function.
   */
  onRoutesChanged(callback: () => void): Promise<() => Promise<void>>;
  /** A gateway says which route version it serves. Called at least every 5 s; a gateway unheard for 15 s is not living. */
  acknowledge(gateway: string, version: number): Promise<void>;
  /** A gateway says goodbye. */
  forgetGateway(gateway: string): Promise<void>;
  livingGateways(): Promise<{ id: string; version: number }[]>;

  /** Who did what, for people. Never throws for an unknown service. */
  audit(event: {
    service: string | null;
    actor: string;
    action: string;
    details?: Record<string, unknown>;
  }): Promise<void>;
  /** The same of a deployment, with its effect: fenced, and written once however often it is told. */
  auditOnce(grant: Grant, event: { action: string; details: Record<string, unknown> }): Promise<void>;
  /** What was done to a service, newest first. */
  auditOf(service: string, limit: number): Promise<AuditEntry[]>;

  close(): Promise<void>;
}
