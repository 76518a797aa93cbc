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
type Carried = { waiting: DeploymentRef[]; token: number; owesSweep: boolean };

/**
 * Owns a service: gives one deployment at a time the right to change it, with a growing fencing token, and
 * cleans up after holders that end without having done so themselves (terminated, timed out, reset).
 */
export async function modelService(service: string, carried?: Carried): Promise<void> {
  const owner = new Owner(service, carried);
  await owner.adopt();
  for (;;) {
    await condition(() => owner.busy || owner.hasWaiting || workflowInfo().continueAsNewSuggested, '1m');
    if (owner.busy) await owner.settle();
    // Before the queue, which may never be empty; it goes along.
    else if (workflowInfo().continueAsNewSuggested) break;
    else if (owner.hasWaiting) await owner.admitNext();
    else if (owner.owesSweep) await owner.sweep();
    else await condition(() => owner.busy || owner.hasWaiting || workflowInfo().continueAsNewSuggested);
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
  /** An attempt presumed dead may act after its effects were undone: look again once, a while later. */
  owesSweep: boolean;

  constructor(
    private readonly service: string,
    carried: Carried | undefined,
  ) {
    this.waiting = carried?.waiting ?? [];
    this.token = carried?.token ?? 0;
    this.owesSweep = carried?.owesSweep ?? false;
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
    return { waiting: this.waiting, token: this.token, owesSweep: this.owesSweep };
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
    await activities.tidy(this.service);
    this.owesSweep = true;
    this.holder = null;
    this.grant = null;
    this.holderGone = false;
  }

  async sweep(): Promise<void> {
    this.owesSweep = false;
    await activities.tidy(this.service);
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
