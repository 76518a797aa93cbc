import { ApplicationFailure, condition, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import {
  Decision,
  type AbortAnswer,
  type DeploymentState,
  type DeploymentUpdate,
} from '../contract/deployment.js';
import { grantedSignal } from '../contract/service.js';
import { refuse } from './failure.js';

const granted = defineSignal<[number]>(grantedSignal);

/** A canary step under way, and what people have said of it. */
export type Turn = { skipped: boolean; released: boolean };

/** What a running deployment is told from outside, by updates and signals; the workflow looks here. */
export class Steering {
  paused = false;
  verdict: (Decision & { approved: boolean }) | null = null;
  aborted: Decision | null = null;
  /** Fencing token, when the owner has given one to who waited for it. */
  token: number | null = null;
  /** The canary step under way. */
  turn: Turn | null = null;
  /** Ends what is under way. False when it is ending already, or has come too far. */
  onAbort: () => boolean = () => false;

  constructor(
    private readonly approval: boolean,
    private readonly state: () => DeploymentState,
  ) {
    setHandler(granted, (token) => void (this.token = token));
    this.accept('approve', (by) => (this.verdict ??= { approved: true, ...by }));
    this.accept('reject', (by) => (this.verdict ??= { approved: false, ...by }));
    this.accept('pause', () => (this.paused = true));
    this.accept('resume', () => {
      this.paused = false;
      if (this.turn) this.turn.released = true;
    });
    this.accept('skip', () => (this.turn!.skipped = true));
    setHandler(defineUpdate<AbortAnswer, [unknown]>('abort'), (raw) => this.abort(parse(raw)), {
      validator: (raw) => void refuse(() => parse(raw)),
    });
  }

  async untilResumed(): Promise<void> {
    await condition(() => !this.paused);
  }

  /** Aborting what is being undone, has ended or was aborted is no mistake: the answer says so. */
  private abort(by: Decision): AbortAnswer {
    const state = this.state();
    const requested = !hasEnded(state) && this.aborted === null && this.onAbort();
    if (requested) this.aborted = by;
    return { requested, state };
  }

  private accept(name: Exclude<DeploymentUpdate, 'abort'>, act: (by: Decision) => unknown): void {
    setHandler(defineUpdate<void, [unknown]>(name), (raw) => void act(parse(raw)), {
      validator: (raw) => {
        refuse(() => parse(raw));
        this.refuseOutOfTurn(name);
      },
    });
  }

  private refuseOutOfTurn(name: DeploymentUpdate): void {
    const approving = name === 'approve' || name === 'reject';
    if (approving && !this.approval) throw conflict('this deployment needs no approval');
    if (approving && this.verdict !== null) throw conflict('this deployment was decided already');
    const state = this.state();
    if (hasEnded(state)) throw conflict(`cannot ${name}: the deployment is ${state}`);
    if (name === 'skip' && this.turn === null) throw conflict('cannot skip: no canary step is under way');
  }
}

const parse = (raw: unknown): Decision => Decision.parse(raw ?? {});

const conflict = (message: string): ApplicationFailure =>
  ApplicationFailure.nonRetryable(message, 'Conflict');

const hasEnded = (state: DeploymentState): boolean =>
  ['undoing', 'succeeded', 'failed', 'cancelled'].includes(state);
