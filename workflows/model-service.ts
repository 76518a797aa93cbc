import {
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  defineQuery,
  defineUpdate,
  getExternalWorkflowHandle,
  isCancellation,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { DeploymentRef, Grant } from '../contract/pipeline.js';
import {
  grantedSignal,
  requestGrantUpdate,
  serviceStateQuery,
  type GrantAnswer,
  type GrantRequest,
  type ServiceState,
} from '../contract/service.js';
import * as activities from './activities.js';
import { takeBack } from './undo.js';

/** What a run hands to the next. */
type Carried = { waiting: DeploymentRef[]; token: number; sweepAt: number | null };

/** An attempt presumed dead may act after its effects were undone: look again, so many milliseconds later. */
const lateness = 60_000;
/** What was tidied is not tidied again at once. */
const breath = 1_000;

/**
 * Owns a service: gives one deployment at a time the right to change it, with a growing fencing token, and
 * cleans up after holders that end without having done so themselves (terminated, timed out, reset).
 */
export async function modelService(service: string, carried?: Carried): Promise<void> {
  const owner = new Owner(service, carried);
  await owner.adopt();
  for (;;) {
    if (owner.busy) await owner.settle();
    // Before the queue, which may never be empty; it goes along.
    else if (workflowInfo().continueAsNewSuggested) break;
    else if (owner.hasWaiting) await owner.admitNext();
    else if (owner.sweepsIn() === 0) await owner.sweep();
    else await owner.idle();
  }
  await condition(allHandlersFinished);
  await continueAsNew<typeof modelService>(service, owner.carry());
}

class Owner {
  private holder: DeploymentRef | null = null;
  private grant: Grant | null = null;
  private holderGone = false;
  private waiting: DeploymentRef[];
  private token: number;
  private adopted = false;
  /** When to look again for what is not needed any more; milliseconds since 1970. */
  private sweepAt: number | null;

  constructor(
    private readonly service: string,
    carried: Carried | undefined,
  ) {
    this.waiting = carried?.waiting ?? [];
    this.token = carried?.token ?? 0;
    this.sweepAt = carried?.sweepAt ?? null;
    setHandler(defineUpdate<GrantAnswer, [GrantRequest]>(requestGrantUpdate), (request) =>
      this.request(request),
    );
    setHandler(defineQuery<ServiceState>(serviceStateQuery), (): ServiceState => ({
      service,
      holder: this.holder && { ...this.holder, token: this.token },
      waiting: this.waiting,
    }));
  }

  get busy(): boolean {
    return this.grant !== null;
  }

  get hasWaiting(): boolean {
    return this.holder === null && this.waiting.length > 0;
  }

  carry(): Carried {
    return { waiting: this.waiting, token: this.token, sweepAt: this.sweepAt };
  }

  /** Takes up a grant that the catalog knows and this run does not: histories may have been lost. */
  async adopt(): Promise<void> {
    const open = await activities.holderOf(this.service);
    if (open) this.hold(open.deployment, open.token);
    this.adopted = true;
  }

  private async request({ deployment, onConflict }: GrantRequest): Promise<GrantAnswer> {
    await condition(() => this.adopted);
    if (this.holder === null && this.waiting.length === 0) {
      // Taken before the first await: a second request must find the service held.
      this.holder = deployment;
      const token = await activities.openGrant(this.service, deployment, this.token);
      this.hold(deployment, token);
      return { kind: 'granted', token };
    }
    const holder = this.holder ?? this.waiting[0]!;
    if (sameRun(holder, deployment)) await condition(() => this.grant !== null);
    if (this.grant && sameRun(this.grant.deployment, deployment))
      return { kind: 'granted', token: this.token };
    const running = await activities.isRunning(holder);
    if (running && onConflict === 'fail') return { kind: 'conflict', holder };
    if (!running && this.holder && sameRun(this.holder, holder)) this.holderGone = true;
    await this.enqueue(deployment, onConflict === 'supersede');
    return { kind: 'queued', holder };
  }

  private async enqueue(deployment: DeploymentRef, supersede: boolean): Promise<void> {
    if (this.waiting.some((queued) => sameRun(queued, deployment))) return;
    if (!supersede) {
      this.waiting.push(deployment);
      return;
    }
    this.waiting.unshift(deployment);
    const holder = this.holder;
    if (holder === null) return;
    try {
      await getExternalWorkflowHandle(holder.workflowId, holder.runId).cancel();
    } catch {
      // Only a workflow that has closed cannot be cancelled; settle() looks after what it left.
      this.holderGone = true;
    }
  }

  /** Gives the service to the next in line, and tells it so. */
  async admitNext(): Promise<void> {
    const next = this.waiting.shift()!;
    this.holder = next;
    const token = await activities.openGrant(this.service, next, this.token);
    this.hold(next, token);
    try {
      await getExternalWorkflowHandle(next.workflowId, next.runId).signal(grantedSignal, token);
    } catch {
      this.holderGone = true;
    }
  }

  /** Waits until the holder has ended; undoes what it left behind. */
  async settle(): Promise<void> {
    const grant = this.grant!;
    const watch = new CancellationScope();
    const closed = watch.run(() => activities.awaitClosed(grant.deployment)).catch(unlessCancelled);
    await Promise.race([closed, condition(() => this.holderGone)]);
    watch.cancel();
    if (await activities.grantIsOpen(grant)) {
      await takeBack(grant, { undoing: () => undefined });
      await activities.closeGrant(grant, 'lost');
    }
    await this.sweep(lateness);
    this.holder = null;
    this.grant = null;
    this.holderGone = false;
  }

  /** Tidies, and again once there will be more of it: what is kept for going back has its time. */
  async sweep(atTheLatest = Infinity): Promise<void> {
    const more = (await activities.tidy(this.service)) ?? Infinity;
    const next = Math.min(Math.max(more, breath), atTheLatest);
    this.sweepAt = next === Infinity ? null : Date.now() + next;
  }

  /** Milliseconds until the next sweep is due, or null. */
  sweepsIn(): number | null {
    return this.sweepAt === null ? null : Math.max(0, this.sweepAt - Date.now());
  }

  /** Returns when there is something to do. */
  async idle(): Promise<void> {
    const called = () => this.busy || this.hasWaiting || workflowInfo().continueAsNewSuggested;
    const due = this.sweepsIn();
    await (due === null ? condition(called) : condition(called, due));
  }

  private hold(deployment: DeploymentRef, token: number): void {
    this.holder = deployment;
    this.token = token;
    this.grant = { service: this.service, token, deployment };
  }
}

const sameRun = (a: DeploymentRef, b: DeploymentRef): boolean =>
  a.workflowId === b.workflowId && a.runId === b.runId;

function unlessCancelled(error: unknown): void {
  if (!isCancellation(error)) throw error;
}
