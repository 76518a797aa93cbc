import { isDeepStrictEqual } from 'node:util';
import pLimit from 'p-limit';
import { SlipwayError } from '../../contract/errors.js';
import { JournalEntry, type Effect } from '../../contract/journal.js';
import { Release, Route, type DeploymentRef, type Grant, type Replica } from '../../contract/pipeline.js';
import type { GrantOutcome, ServiceRecord } from '../../contract/service.js';
import type { Catalog } from '../../platform/catalog/index.js';
import { copyOf, MemoryRecords } from './memory-records.js';

type Held = { grant: Grant; state: 'open' | 'undoing' | 'closed'; outcome: GrantOutcome | null };
type Service = Omit<ServiceRecord, 'holder'> & { grants: Held[] };
type Shipped = { release: Release; before: Pick<ServiceRecord, 'live' | 'previous'>; takenBack: boolean };
type Canary = NonNullable<Route['canary']>;

/** The catalog's promises, kept in memory; test/conformance holds it to them. */
export class MemoryCatalog extends MemoryRecords implements Catalog {
  readonly journal: JournalEntry[] = [];
  private readonly services = new Map<string, Service>();
  private readonly shipped = new Map<string, Shipped>();
  private readonly serving = new Map<string, Route>();
  private readonly keeping = new Map<string, { release: string; replicas: Replica[]; until: number }>();
  /** One turn for each digest: nobody comes to name what is being taken away. */
  private readonly turns = new Map<string, ReturnType<typeof pLimit>>();
  private version = 0;

  /** How grants ended, in the order they were given. */
  get outcomes(): { grant: Grant; outcome: GrantOutcome }[] {
    return [...this.services.values()]
      .flatMap(({ grants }) => grants)
      .flatMap(({ grant, outcome }) => (outcome ? [{ grant, outcome }] : []));
  }

  async openGrant(service: string, holder: DeploymentRef, floor: number): Promise<number> {
    const record = this.services.get(service) ?? {
      ...{ service, live: null, previous: null, lastVerified: null, token: 0 },
      grants: [],
    };
    this.services.set(service, record);
    const known = record.grants.find(({ grant }) => isDeepStrictEqual(grant.deployment, holder));
    if (known) return known.grant.token;
    const open = openOf(record);
    if (open) Object.assign(open, { state: 'closed', outcome: 'lost' });
    record.token = Math.max(record.token, floor) + 1;
    const grant = { service, token: record.token, deployment: copyOf(holder) };
    record.grants.push({ grant, state: 'open', outcome: null });
    return record.token;
  }

  async beginUndo(grant: Grant): Promise<void> {
    const held = this.heldBy(grant);
    if (held?.state === 'open') held.state = 'undoing';
  }

  async closeGrant(grant: Grant, outcome: GrantOutcome): Promise<void> {
    const held = this.heldBy(grant);
    if (!held) return;
    if (outcome === 'succeeded' && held.outcome !== 'succeeded') {
      if (held.state !== 'open') throw fenced(grant);
      for (const entry of this.entriesOf(grant)) if (entry.state === 'done') entry.state = 'kept';
    }
    if (held.state !== 'closed') Object.assign(held, { state: 'closed', outcome });
  }

  async recordEffect(grant: Grant, effect: Effect): Promise<JournalEntry> {
    return await this.inTurn('digest' in effect ? effect.digest : null, async () => {
      this.fence(grant);
      const known = this.entriesOf(grant).find((entry) => entry.effect.key === effect.key);
      if (known?.state === 'undone') throw new SlipwayError('Conflict', `fenced: "${effect.key}" was undone`);
      if (known) return copyOf(known);
      const { service, token, deployment } = grant;
      const entry = { service, token, deployment: deployment.workflowId, effect, state: 'intended' };
      this.journal.push(JournalEntry.parse(copyOf({ id: this.journal.length + 1, ...entry })));
      return copyOf(this.journal.at(-1)!);
    });
  }

  async completeEffect({ id, service, token }: JournalEntry): Promise<boolean> {
    const entry = this.journal[id - 1];
    if (entry?.state === 'kept') return true;
    const held = this.services.get(service)?.grants.find(({ grant }) => grant.token === token);
    if (held?.state !== 'open' || !entry || entry.state === 'undone') return false;
    entry.state = 'done';
    return true;
  }

  async openEffects(service: string, token: number): Promise<JournalEntry[]> {
    return copyOf(this.entriesOf({ service, token }).filter(isOpen).toReversed());
  }

  async markUndone(id: number): Promise<void> {
    const entry = this.journal[id - 1];
    if (entry && isOpen(entry)) entry.state = 'undone';
  }

  async whileUnnamed(
    digest: string,
    except: { service: string; token: number },
    act: () => Promise<void>,
  ): Promise<boolean> {
    return await this.inTurn(digest, async () => {
      const byEffect = this.journal
        .filter(isOpen)
        .filter(({ effect }) => 'digest' in effect && effect.digest === digest)
        .some(({ service, token }) => service !== except.service || token !== except.token);
      const byRelease = this.releases().some(({ image, sourceImage }) =>
        [image.digest, sourceImage.digest].some((named) => named === digest),
      );
      if (byEffect || byRelease) return false;
      await act();
      return true;
    });
  }

  async allOpenEffects(): Promise<JournalEntry[]> {
    return copyOf(this.journal.filter(isOpen));
  }

  async getService(service: string): Promise<ServiceRecord | null> {
    return (await this.listServices()).find((record) => record.service === service) ?? null;
  }

  async listServices(): Promise<ServiceRecord[]> {
    return [...this.services.values()].sort(byService).map(({ grants, ...record }) => {
      return copyOf({ ...record, holder: openOf({ grants })?.grant.deployment ?? null });
    });
  }

  async shift(grant: Grant, release: Release, replicas: Replica[], keep = 0): Promise<Route> {
    this.fence(grant);
    const { service } = grant;
    const route = this.serving.get(service);
    if (route?.release === release.id && this.shipped.has(release.id)) return copyOf(route);
    for (const entry of this.journaled(grant, release.id)) entry.state = 'done';
    this.keeping.delete(service);
    if (route && keep > 0) this.keeping.set(service, { ...route, until: this.now() + keep });
    const record = this.services.get(service)!;
    const { live, previous } = record;
    if (!this.shipped.has(release.id))
      this.shipped.set(release.id, {
        release: Release.parse(copyOf(release)),
        before: { live, previous },
        takenBack: false,
      });
    Object.assign(record, { live: release.id, previous: live, lastVerified: release.id });
    return this.moveRoute({ service, release: release.id, replicas, canary: null });
  }

  async weigh(grant: Grant, canary: Canary): Promise<Route> {
    this.fence(grant);
    const route = this.serving.get(grant.service);
    if (!route) throw new SlipwayError('Conflict', `"${grant.service}" has no route yet`);
    if (isDeepStrictEqual(route.canary, canary) || route.release === canary.release) return copyOf(route);
    this.journaled(grant, canary.release);
    return this.moveRoute({ ...route, canary });
  }

  async keptReplicas(service: string) {
    const kept = this.keeping.get(service);
    const gone = !kept || this.shipped.get(kept.release)?.takenBack;
    if (gone || this.serving.get(service)?.release === kept.release) return [];
    const remaining = Math.max(0, Math.ceil(kept.until - this.now()));
    const { release, replicas } = kept;
    return copyOf([{ release, replicas, remaining, expired: remaining === 0 }]);
  }

  async unshift({ id, service, effect }: JournalEntry): Promise<Route | null> {
    if (effect.kind !== 'route') throw new TypeError(`not a route: ${effect.kind}`);
    const entry = this.journal[id - 1];
    const route = this.serving.get(service) ?? null;
    if (!entry || !isOpen(entry)) return copyOf(route);
    entry.state = 'undone';
    this.takeBack(service, effect.release);
    const ours = route?.release === effect.release || route?.canary?.release === effect.release;
    if (!ours) return copyOf(route);
    if (effect.previous) return this.moveRoute({ ...effect.previous, canary: null });
    this.serving.delete(service);
    this.version += 1;
    this.tellOfRoutes();
    return null;
  }

  async getRelease(id: string): Promise<Release | null> {
    return copyOf(this.releases().find((release) => release.id === id) ?? null);
  }

  async listReleases(service: string): Promise<Release[]> {
    const releases = this.releases().filter((release) => release.service === service);
    return copyOf(releases.sort((a, b) => b.token - a.token));
  }

  async routes(): Promise<{ version: number; routes: Route[] }> {
    return copyOf({ version: this.version, routes: [...this.serving.values()].sort(byService) });
  }

  async getRoute(service: string): Promise<Route | null> {
    return copyOf(this.serving.get(service) ?? null);
  }

  private moveRoute(route: Omit<Route, 'version'>): Route {
    this.version += 1;
    const moved = Route.parse(copyOf({ ...route, version: this.version }));
    this.serving.set(route.service, moved);
    this.tellOfRoutes();
    return copyOf(moved);
  }

  /** Takes a release out of its service's record, if it ever came into it. */
  private takeBack(service: string, release: string): void {
    const shipped = this.shipped.get(release);
    if (!shipped || shipped.takenBack) return;
    shipped.takenBack = true;
    const { before } = shipped;
    const record = this.services.get(service)!;
    if (record.live === release) Object.assign(record, before);
    else if (record.previous === release) record.previous = before.live;
    const verified = this.releases().filter((each) => each.service === service);
    record.lastVerified = verified.sort((a, b) => b.token - a.token)[0]?.id ?? null;
  }

  /** Those that were not taken back. */
  private releases(): Release[] {
    return [...this.shipped.values()].filter(({ takenBack }) => !takenBack).map(({ release }) => release);
  }

  private entriesOf({ service, token }: { service: string; token: number }): JournalEntry[] {
    return this.journal.filter((entry) => entry.service === service && entry.token === token);
  }

  /** Without an entry in the journal the route could not be put back. */
  private journaled(grant: Grant, release: string): JournalEntry[] {
    const entries = this.entriesOf(grant)
      .filter(isOpen)
      .filter(({ effect }) => effect.kind === 'route' && effect.release === release);
    if (entries.length === 0)
      throw new SlipwayError('Conflict', `moving the route to "${release}": the journal has no entry for it`);
    return entries;
  }

  private heldBy({ service, token, deployment }: Grant): Held | null {
    const held = this.services.get(service)?.grants.find(({ grant }) => grant.token === token);
    return held && isDeepStrictEqual(held.grant.deployment, deployment) ? held : null;
  }

  protected override fence(grant: Grant): void {
    if (this.heldBy(grant)?.state !== 'open') throw fenced(grant);
  }

  private async inTurn<T>(digest: string | null, act: () => Promise<T>): Promise<T> {
    if (digest === null) return await act();
    const turn = this.turns.get(digest) ?? pLimit(1);
    this.turns.set(digest, turn);
    return await turn(act);
  }
}

const openOf = ({ grants }: Pick<Service, 'grants'>): Held | undefined =>
  grants.find(({ state }) => state !== 'closed');

const isOpen = ({ state }: JournalEntry): boolean => state === 'intended' || state === 'done';

const byService = (a: { service: string }, b: { service: string }): number =>
  a.service < b.service ? -1 : a.service > b.service ? 1 : 0;

const fenced = ({ service, token }: Grant): SlipwayError =>
  new SlipwayError('Conflict', `fenced: grant ${token} of "${service}" has ended or is being undone`);
