import { Context } from '@temporalio/activity';
import { SlipwayError } from '../../contract/errors.js';
import type { Effect, JournalEntry } from '../../contract/journal.js';
import type { DeploymentRef, Grant, Release, Replica, Route } from '../../contract/pipeline.js';
import type { GrantOutcome, ServiceRecord } from '../../contract/service.js';
import { noTraffic, type TrafficFigures } from '../../contract/traffic.js';
import type { Catalog } from '../../platform/catalog/index.js';

type Service = ServiceRecord & { undoing: boolean };
type Shift = { before: Pick<ServiceRecord, 'live' | 'previous' | 'lastVerified'>; release: Release };

/** The catalog's promises, kept in memory: grants with fencing, the journal, releases and routes. */
export class MemoryCatalog implements Catalog {
  readonly journal: JournalEntry[] = [];
  /** What gateways have counted, by release. */
  readonly traffic = new Map<string, TrafficFigures>();
  readonly outcomes: { grant: Grant; outcome: GrantOutcome }[] = [];
  private readonly services = new Map<string, Service>();
  private readonly shifts = new Map<string, Shift>();
  private readonly serving = new Map<string, Route>();
  private readonly kept = new Map<string, { release: string; replicas: Replica[]; until: number }>();
  private version = 0;

  async openGrant(service: string, holder: DeploymentRef, floor: number): Promise<number> {
    const record = this.services.get(service) ?? {
      service,
      live: null,
      previous: null,
      lastVerified: null,
      token: 0,
      holder: null,
      undoing: false,
    };
    this.services.set(service, record);
    if (record.holder && sameRun(record.holder, holder)) return record.token;
    Object.assign(record, { holder, token: Math.max(record.token, floor) + 1, undoing: false });
    return record.token;
  }

  async beginUndo(grant: Grant): Promise<void> {
    const record = this.holding(grant);
    if (record) record.undoing = true;
  }

  async closeGrant(grant: Grant, outcome: GrantOutcome): Promise<void> {
    const record = this.holding(grant);
    if (!record) return;
    Object.assign(record, { holder: null, undoing: false });
    this.outcomes.push({ grant, outcome });
    if (outcome !== 'succeeded') return;
    for (const entry of this.entriesOf(grant)) if (entry.state === 'done') entry.state = 'kept';
  }

  async recordEffect(grant: Grant, effect: Effect): Promise<JournalEntry> {
    this.fence(grant);
    const known = this.entriesOf(grant).find((entry) => entry.effect.key === effect.key);
    if (known?.state === 'undone') throw new SlipwayError('Conflict', `fenced: "${effect.key}" was undone`);
    if (known) return structuredClone(known);
    const entry: JournalEntry = {
      id: this.journal.length + 1,
      service: grant.service,
      token: grant.token,
      deployment: grant.deployment.workflowId,
      effect,
      state: 'intended',
    };
    this.journal.push(entry);
    return structuredClone(entry);
  }

  async completeEffect({ id }: JournalEntry): Promise<boolean> {
    const entry = this.journal[id - 1]!;
    const record = this.services.get(entry.service)!;
    if (record.token !== entry.token || record.undoing || record.holder === null) return false;
    entry.state = 'done';
    return true;
  }

  async openEffects(service: string, token: number): Promise<JournalEntry[]> {
    return structuredClone(this.entriesOf({ service, token }).filter(isOpen).toReversed());
  }

  async markUndone(id: number): Promise<void> {
    this.journal[id - 1]!.state = 'undone';
  }

  async whileUnnamed(
    digest: string,
    except: { service: string; token: number },
    act: () => Promise<void>,
  ): Promise<boolean> {
    const effects = this.journal
      .filter(isOpen)
      .filter(({ effect }) => 'digest' in effect && effect.digest === digest)
      .filter(({ service, token }) => service !== except.service || token !== except.token);
    const releases = this.releases().filter(({ image, sourceImage }) =>
      [image.digest, sourceImage.digest].some((named) => named === digest),
    );
    if (effects.length > 0 || releases.length > 0) return false;
    await act();
    return true;
  }

  async allOpenEffects(): Promise<JournalEntry[]> {
    return this.journal.filter(isOpen);
  }

  async getService(service: string): Promise<ServiceRecord | null> {
    return structuredClone(this.services.get(service) ?? null);
  }

  async listServices(): Promise<ServiceRecord[]> {
    return structuredClone([...this.services.values()]);
  }

  async shift(grant: Grant, release: Release, replicas: Replica[], keep = 0): Promise<Route> {
    this.fence(grant);
    const { service } = grant;
    const route = this.serving.get(service);
    if (route?.release === release.id) return route;
    this.kept.delete(service);
    if (route && keep > 0) this.kept.set(service, { ...route, until: serverNow() + keep });
    const record = this.services.get(service)!;
    const { live, previous, lastVerified } = record;
    this.shifts.set(release.id, { before: { live, previous, lastVerified }, release });
    Object.assign(record, { live: release.id, previous: live, lastVerified: release.id });
    for (const entry of this.entriesOf(grant)) if (entry.effect.kind === 'route') entry.state = 'done';
    return this.moveRoute({ service, release: release.id, replicas, canary: null, version: 0 });
  }

  async weigh(grant: Grant, canary: NonNullable<Route['canary']>): Promise<Route> {
    this.fence(grant);
    const route = this.serving.get(grant.service);
    if (!route) throw new SlipwayError('Conflict', `"${grant.service}" has no route yet`);
    return this.moveRoute({ ...route, canary });
  }

  async keptReplicas(service: string) {
    const kept = this.kept.get(service);
    if (!kept || !this.shifts.has(kept.release) || this.serving.get(service)?.release === kept.release)
      return [];
    const remaining = Math.max(0, kept.until - serverNow());
    return [{ release: kept.release, replicas: kept.replicas, remaining, expired: remaining === 0 }];
  }

  async reportTraffic(): Promise<void> {}

  async trafficOf(_service: string, release: string): Promise<TrafficFigures> {
    return structuredClone(this.traffic.get(release) ?? noTraffic());
  }

  async unshift({ service, effect }: JournalEntry): Promise<Route | null> {
    if (effect.kind !== 'route') throw new TypeError(`not a route: ${effect.kind}`);
    const shift = this.shifts.get(effect.release);
    const route = this.serving.get(service) ?? null;
    if (!shift && route?.canary?.release !== effect.release) return route;
    this.shifts.delete(effect.release);
    Object.assign(this.services.get(service)!, shift?.before);
    if (effect.previous) return this.moveRoute(effect.previous);
    this.serving.delete(service);
    this.version += 1;
    return null;
  }

  async getRelease(id: string): Promise<Release | null> {
    return this.shifts.get(id)?.release ?? null;
  }

  async listReleases(service: string): Promise<Release[]> {
    return this.releases()
      .filter((release) => release.service === service)
      .toReversed();
  }

  async routes(): Promise<{ version: number; routes: Route[] }> {
    return { version: this.version, routes: [...this.serving.values()] };
  }

  async getRoute(service: string): Promise<Route | null> {
    return this.serving.get(service) ?? null;
  }

  async onRoutesChanged(): Promise<() => Promise<void>> {
    return async () => undefined;
  }

  async acknowledge(): Promise<void> {}
  async forgetGateway(): Promise<void> {}
  async livingGateways(): Promise<{ id: string; version: number }[]> {
    return [];
  }

  async audit(): Promise<void> {}
  async auditOnce(): Promise<void> {}
  async auditOf(): Promise<[]> {
    return [];
  }
  async close(): Promise<void> {}

  private moveRoute(route: Route): Route {
    this.version += 1;
    const moved = { ...route, version: this.version };
    this.serving.set(route.service, moved);
    return moved;
  }

  private releases(): Release[] {
    return [...this.shifts.values()].map(({ release }) => release);
  }

  private entriesOf({ service, token }: { service: string; token: number }): JournalEntry[] {
    return this.journal.filter((entry) => entry.service === service && entry.token === token);
  }

  /** The service's record, if this grant is the one that is open. */
  private holding({ service, token, deployment }: Grant): Service | null {
    const record = this.services.get(service);
    return record?.token === token && record.holder !== null && sameRun(record.holder, deployment)
      ? record
      : null;
  }

  private fence(grant: Grant): void {
    const record = this.holding(grant);
    if (!record || record.undoing)
      throw new SlipwayError('Conflict', `fenced: grant ${grant.token} of "${grant.service}" has ended`);
  }
}

/** The time of the Temporal server, which may skip some, as an activity knows it. */
export const serverNow = (): number => Context.current().info.currentAttemptScheduledTimestampMs;

const isOpen = ({ state }: JournalEntry): boolean => state === 'intended' || state === 'done';

const sameRun = (a: DeploymentRef, b: DeploymentRef): boolean =>
  a.workflowId === b.workflowId && a.runId === b.runId;
