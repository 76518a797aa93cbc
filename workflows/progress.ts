import {
  ApplicationFailure,
  condition,
  defineQuery,
  defineSignal,
  defineUpdate,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import type { DeployInput } from '../contract/deploy.js';
import {
  Decision,
  statusQuery,
  type DeploymentStatus,
  type StageStatus,
  type UndoStep,
} from '../contract/deployment.js';
import { releaseId, type ImageRef, type ReleaseId } from '../contract/names.js';
import { stages, type Grant, type Pinned, type Stage, type Verification } from '../contract/pipeline.js';
import { milliseconds } from '../contract/quantities.js';
import { grantedSignal } from '../contract/service.js';
import * as activities from './activities.js';
import { refuse, type Ending } from './failure.js';
import type { UndoWitness } from './undo.js';

const attribute = (name: string) => defineSearchAttributeKey(name, SearchAttributeType.KEYWORD);
const searchStage = attribute('SlipwayStage');
const granted = defineSignal<[number]>(grantedSignal);
const decision = (name: string) => defineUpdate<void, [unknown]>(name);

type Verdict = { approved: boolean; by: string; reason: string };

/**
 * What is seen and steered of a deployment from outside: the `status` query, the updates, the search
 * attributes, the details in the Temporal UI. Knows nothing of what the stages do.
 */
export class Progress implements UndoWitness {
  /** Told when the clock should stop (paused, awaiting approval) and go on. */
  onHold: (held: boolean) => void = () => undefined;
  private readonly status: DeploymentStatus;
  private paused = false;
  private verdict: Verdict | null = null;
  private token: number | null = null;

  constructor(private readonly input: DeployInput & { service: string }) {
    const { workflowId, runId, startTime } = workflowInfo();
    this.status = {
      deployment: { workflowId, runId },
      model: input.model,
      service: input.service,
      state: 'waiting',
      stage: null,
      step: '',
      stages: stages.map((name): StageStatus => ({ name, state: 'pending' })),
      undo: [],
      startedAt: startTime.toISOString(),
    };
    upsertSearchAttributes([
      { key: attribute('SlipwayModel'), value: input.model },
      { key: attribute('SlipwayService'), value: input.service },
    ]);
    this.listen();
  }

  get release(): ReleaseId {
    return releaseId(this.input.service, this.status.token!);
  }

  /** Asks the service's owner for the right to change it, and waits for its turn where the input says so. */
  async grant(): Promise<Grant> {
    const { service, onConflict } = this.input;
    const deployment = this.status.deployment;
    while (this.token === null) {
      const answer = await activities.requestGrant(service, { deployment, onConflict });
      if (answer.kind === 'conflict')
        throw ApplicationFailure.nonRetryable(
          `service "${service}" is being changed by deployment "${answer.holder.workflowId}"; wait for it, or start again with onConflict "wait" or "supersede"`,
          'Conflict',
          { holder: answer.holder },
        );
      if (answer.kind === 'granted') this.token = answer.token;
      else {
        this.tell(`waiting for deployment "${answer.holder.workflowId}"`);
        // The queue is the owner's memory. Should its history be lost, asking again gets in line anew.
        await condition(() => this.token !== null, '5m');
      }
    }
    this.status.token = this.token;
    this.status.state = 'running';
    return { service, token: this.token, deployment };
  }

  /** Runs one stage, unless and until the deployment is paused. */
  async stage<T extends { detail: string }>(name: Stage, run: () => Promise<T>): Promise<T> {
    await this.untilResumed();
    const stage = this.find(name);
    Object.assign(stage, { state: 'running', startedAt: now() });
    this.status.stage = name;
    upsertSearchAttributes([{ key: searchStage, value: name }]);
    this.tell('');
    const result = await run();
    Object.assign(stage, { state: 'done', endedAt: now(), detail: result.detail });
    this.tell('');
    return result;
  }

  /** Runs a step that belongs to no stage of its own. */
  async step<T>(what: string, run: () => Promise<T>): Promise<T> {
    this.tell(what);
    return await run();
  }

  skip(...names: Stage[]): void {
    for (const name of names) this.find(name).state = 'skipped';
  }

  pinned({ source, weights }: Pinned): void {
    this.status.sourceDigest = source.digest;
    this.status.weightsDigest = weights.digest;
    this.status.weightsName = weights.name;
  }

  candidate({ image }: { image: ImageRef }): void {
    this.status.image = image;
    this.status.release = this.release;
  }

  verified(verification: Verification): void {
    this.status.verification = verification;
  }

  /** Waits for `approve`. Throws `Rejected` on `reject` and when nobody decides within `deadline`. */
  async approval(deadline: string): Promise<void> {
    this.hold('awaiting-approval', `awaiting approval for ${deadline}`);
    const decided = await condition(() => this.verdict !== null, milliseconds(deadline));
    this.resume();
    if (!decided)
      throw ApplicationFailure.nonRetryable(`nobody approved within ${deadline}`, 'Rejected', { deadline });
    const { approved, by, reason } = this.verdict!;
    if (!approved)
      throw ApplicationFailure.nonRetryable(
        `rejected${by && ` by ${by}`}${reason && `: ${reason}`}`,
        'Rejected',
        { by, reason },
      );
  }

  failed({ failure }: Ending): void {
    this.status.failure = failure;
    for (const stage of this.status.stages)
      if (stage.state === 'running') Object.assign(stage, { state: 'failed', endedAt: now() });
    this.status.state = 'undoing';
    this.tell('taking back');
  }

  undoing(step: UndoStep): void {
    this.status.undo.push(step);
    this.tell(`undoing ${step.what}`);
  }

  undone(): UndoStep[] {
    return this.status.undo;
  }

  ended({ outcome }: Ending): void {
    this.end(outcome);
  }

  succeeded(): void {
    this.end('succeeded');
  }

  private end(state: DeploymentStatus['state']): void {
    this.status.state = state;
    this.status.endedAt = now();
    this.tell('');
  }

  private listen(): void {
    setHandler(defineQuery<DeploymentStatus>(statusQuery), () => this.status);
    setHandler(granted, (token) => void (this.token = token));
    this.accept('approve', (by) => (this.verdict ??= { approved: true, ...by }));
    this.accept('reject', (by) => (this.verdict ??= { approved: false, ...by }));
    this.accept('pause', () => (this.paused = true));
    this.accept('resume', () => (this.paused = false));
  }

  private accept(
    name: 'approve' | 'reject' | 'pause' | 'resume',
    act: (decision: Decision) => unknown,
  ): void {
    setHandler(decision(name), (raw) => void act(Decision.parse(raw ?? {})), {
      validator: (raw) => {
        refuse(() => Decision.parse(raw ?? {}));
        this.refuseOutOfTurn(name);
      },
    });
  }

  private refuseOutOfTurn(name: string): void {
    const { state } = this.status;
    const approving = name === 'approve' || name === 'reject';
    if (approving && !this.input.approval.required)
      throw ApplicationFailure.nonRetryable('this deployment needs no approval', 'Conflict');
    if (approving && this.verdict !== null)
      throw ApplicationFailure.nonRetryable('this deployment was decided already', 'Conflict');
    if (['undoing', 'succeeded', 'failed', 'cancelled'].includes(state))
      throw ApplicationFailure.nonRetryable(`cannot ${name}: the deployment is ${state}`, 'Conflict');
  }

  private async untilResumed(): Promise<void> {
    if (!this.paused) return;
    this.hold('paused', 'paused before the next stage');
    await condition(() => !this.paused);
    this.resume();
  }

  private hold(state: 'paused' | 'awaiting-approval', step: string): void {
    this.status.state = state;
    this.tell(step);
    this.onHold(true);
  }

  private resume(): void {
    this.status.state = 'running';
    this.onHold(false);
  }

  private find(name: Stage): StageStatus {
    return this.status.stages.find((stage) => stage.name === name)!;
  }

  /** Sets the current step and what the Temporal UI shows. */
  private tell(step: string): void {
    this.status.step = step;
    const lines = this.status.stages.map(
      ({ name, state, detail }) => `- ${name}: ${state}${detail ? ` (${detail})` : ''}`,
    );
    const undone = this.status.undo.map(({ what, state, notes = [] }) =>
      [`- undo ${what}: ${state}`, ...notes.map((note) => `  - ${note}`)].join('\n'),
    );
    setCurrentDetails([`**${this.status.state}** ${step}`, '', ...lines, ...undone].join('\n'));
  }
}

const now = (): string => new Date().toISOString();
