import {
  ApplicationFailure,
  condition,
  defineQuery,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import type { DeployInput } from '../contract/deploy.js';
import {
  statusQuery,
  type DeploymentState,
  type DeploymentStatus,
  type StageStatus,
  type UndoStep,
} from '../contract/deployment.js';
import { releaseId, type ImageRef, type ReleaseId } from '../contract/names.js';
import { stages, type Grant, type Pinned, type Stage, type Verification } from '../contract/pipeline.js';
import { milliseconds } from '../contract/quantities.js';
import type { Ending } from './failure.js';
import { askForGrant } from './grant.js';
import { Steering, type Turn } from './steering.js';
import type { UndoWitness } from './undo.js';

const attribute = (name: string) => defineSearchAttributeKey(name, SearchAttributeType.KEYWORD);
const searchStage = attribute('SlipwayStage');

/**
 * What is seen of a deployment from outside: the `status` query, the search attributes, the details in the Temporal
 * UI; and where it waits because it was told to. Knows nothing of what the stages do.
 */
export class Progress implements UndoWitness {
  /** Told when the clock should stop (paused, awaiting approval) and go on. */
  onHold: (held: boolean) => void = () => undefined;
  /** The right to change the service, once it is given. */
  held: Grant | null = null;
  readonly steering: Steering;
  private readonly status: DeploymentStatus;

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
    setHandler(defineQuery<DeploymentStatus>(statusQuery), () => this.status);
    this.steering = new Steering(input.approval.required, () => this.status.state);
  }

  get release(): ReleaseId {
    return releaseId(this.input.service, this.status.token!);
  }

  /** Waits for the right to change the service; from then on the deployment runs. */
  async grant(): Promise<Grant> {
    const { service, deployment } = this.status;
    const token = await askForGrant(this.input, deployment, this.steering, (step) => this.tell(step));
    this.status.token = token;
    this.status.state = 'running';
    return (this.held = { service, token, deployment });
  }

  /** Runs one stage, unless and until the deployment is paused. */
  async stage<T extends { detail: string }>(name: Stage, run: () => Promise<T>): Promise<T> {
    await this.untilResumed('paused before the next stage');
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

  /** Said of what would be done, before it is; and of what somebody else did meanwhile. */
  warned(warnings: string[]): void {
    if (warnings.length > 0) this.status.warnings = [...(this.status.warnings ?? []), ...warnings];
  }

  /** A canary step begins: from here on it can be skipped. */
  beginStep(canary: NonNullable<DeploymentStatus['canary']>): Turn {
    this.status.canary = canary;
    return (this.steering.turn = { skipped: false, released: false });
  }

  /** A canary step goes on, or waits for somebody: then no clock runs. */
  duringStep(step: string, held: boolean): void {
    this.status.canary!.paused = held;
    if (held) return this.hold('paused', step);
    this.goOn();
    this.tell(step);
  }

  endStep(): void {
    this.steering.turn = null;
    this.goOn();
  }

  /** Waits for `approve`. Throws `Rejected` on `reject` and when nobody decides within `deadline`. */
  async approval(deadline: string): Promise<void> {
    this.hold('awaiting-approval', `awaiting approval for ${deadline}`);
    const { steering } = this;
    const decided = await condition(() => steering.verdict !== null, milliseconds(deadline));
    this.goOn();
    if (!decided)
      throw ApplicationFailure.nonRetryable(`nobody approved within ${deadline}`, 'Rejected', { deadline });
    const { approved, by, reason } = steering.verdict!;
    if (!approved)
      throw ApplicationFailure.nonRetryable(
        `rejected${by && ` by ${by}`}${reason && `: ${reason}`}`,
        'Rejected',
        { by, reason },
      );
  }

  failed({ failure }: Ending): void {
    this.status.failure = failure;
    this.steering.turn = null;
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
    delete this.status.canary;
    this.end('succeeded');
  }

  private end(state: DeploymentState): void {
    this.status.state = state;
    this.status.endedAt = now();
    this.tell('');
  }

  /** Waits while the deployment is paused, saying so with `step`. */
  async untilResumed(step: string): Promise<void> {
    if (!this.steering.paused) return;
    this.hold('paused', step);
    await this.steering.untilResumed();
    this.goOn();
  }

  private hold(state: 'paused' | 'awaiting-approval', step: string): void {
    this.status.state = state;
    this.tell(step);
    this.onHold(true);
  }

  private goOn(): void {
    this.status.state = 'running';
    this.onHold(false);
  }

  private find(name: Stage): StageStatus {
    return this.status.stages.find((stage) => stage.name === name)!;
  }

  /** Sets the current step and what the Temporal UI shows. */
  private tell(step: string): void {
    this.status.step = step;
    setCurrentDetails(details(this.status));
  }
}

/** Markdown: a line for every stage, and for everything that is taken back. */
function details({ state, step, stages: all, warnings = [], undo }: DeploymentStatus): string {
  return [
    `**${state}** ${step}`,
    '',
    ...all.map(({ name, state, detail }) => `- ${name}: ${state}${detail ? ` (${detail})` : ''}`),
    ...warnings.map((warning) => `- warning: ${warning}`),
    ...undo.flatMap(({ what, state, notes = [] }) => [
      `- undo ${what}: ${state}`,
      ...notes.map((note) => `  - ${note}`),
    ]),
  ].join('\n');
}

const now = (): string => new Date().toISOString();
