import type { DeploymentStatus, StageStatus, UndoStep } from '../contract/deployment.js';
import { humanBytes } from '../contract/quantities.js';
import { humanTime, paint, plain } from './output.js';

const marks: Record<StageStatus['state'], string> = {
  pending: paint('dim', '·'),
  running: paint('cyan', '▸'),
  done: paint('green', '✓'),
  skipped: paint('dim', '–'),
  failed: paint('red', '✗'),
};
const undoMarks: Record<UndoStep['state'], string> = {
  pending: paint('cyan', '▸'),
  undone: paint('green', '↩'),
  failed: paint('red', '✗'),
};

/** The deployment as it stands: a line a stage, then a line for everything that is taken back. */
export function stageLines(status: DeploymentStatus, columns = 120): string[] {
  const { service, deployment, state, step, stages, undo, warnings = [] } = status;
  return [
    `${paint('bold', service)}  ${deployment.workflowId}  ${state}${step ? `: ${step}` : ''}`,
    ...stages.map((stage) => stageLine(stage, status, columns - 30)),
    ...canaryLine(status, columns - 30),
    ...warnings.map((warning) => `  ${paint('yellow', '!')} ${plain(warning)}`),
    ...undo.map(
      ({ what, state: done, error }) =>
        `  ${undoMarks[done]} undo ${what}${error ? `: ${plain(error)}` : ''}`,
    ),
  ];
}

function stageLine(stage: StageStatus, status: DeploymentStatus, room: number): string {
  const now = stage.state === 'running' ? underway(status) : (stage.detail ?? '');
  const line = plain(now.split('\n')[0] ?? '').slice(0, Math.max(room, 20));
  return `  ${marks[stage.state]} ${stage.name.padEnd(15)} ${durationOf(stage).padStart(8)}  ${line}`.trimEnd();
}

/** Where a canary stands: how far up its steps, and what is seen of it. It belongs to no stage. */
function canaryLine(status: DeploymentStatus, room: number): string[] {
  const { canary, state } = status;
  if (!canary) return [];
  const { step, steps, weight } = canary;
  const mark =
    state === 'running' || state === 'paused'
      ? marks.running
      : marks[state === 'succeeded' ? 'done' : 'failed'];
  const place = `${'█'.repeat(step)}${'░'.repeat(steps - step)} ${step} of ${steps}, ${weight} %`;
  const seen = status.progress?.message ? `  ${plain(status.progress.message)}` : '';
  return [
    `  ${mark} ${'canary'.padEnd(15)} ${''.padStart(8)}  ${(place + seen).slice(0, Math.max(room, 20))}`,
  ];
}

/** What the running activity says of itself; a retry says why. */
function underway({ progress, attempt, state, step }: DeploymentStatus): string {
  if (state === 'paused' || state === 'awaiting-approval') return step;
  const retry =
    attempt && attempt.number > 1 ? `attempt ${attempt.number}: ${attempt.lastError ?? ''}  ` : '';
  if (!progress?.total) return retry + (progress?.message ?? '');
  const { done = 0, total, unit, message } = progress;
  const filled = Math.round(Math.min(1, done / total) * 20);
  const bar = '█'.repeat(filled).padEnd(20, '░');
  const count = unit === 'bytes' ? `${humanBytes(done)} of ${humanBytes(total)}` : `${done} of ${total}`;
  return `${retry}${bar} ${count}  ${message}`;
}

/** The same for where no terminal is: every line once, when it becomes true. */
export function stepLines({
  stages,
  state,
  step,
  undo,
  attempt,
  stage: current,
  warnings = [],
}: DeploymentStatus): string[] {
  const again =
    attempt && attempt.number > 1 && attempt.lastError
      ? [`${current ?? 'undo'}: trying again: ${plain(attempt.lastError)}`]
      : [];
  return [
    ...stages.filter((stage) => stage.state !== 'pending').map(stepLine),
    ...warnings.map((warning) => `warning: ${plain(warning)}`),
    ...again,
    ...(step ? [step] : []),
    ...undo
      .filter((entry) => entry.state !== 'pending')
      .map(({ what, state: done }) => `undo ${what}: ${done}`),
    ...(state === 'running' || state === 'waiting' ? [] : [`deployment ${state}`]),
  ];
}

function stepLine(stage: StageStatus): string {
  if (stage.state === 'running') return `${stage.name}: started`;
  const time = stage.startedAt && stage.endedAt ? ` in ${durationOf(stage)}` : '';
  return `${stage.name}: ${stage.state}${time}${stage.detail ? `, ${plain(stage.detail)}` : ''}`;
}

function durationOf({ startedAt, endedAt }: StageStatus): string {
  if (!startedAt) return '';
  return humanTime((endedAt ? Date.parse(endedAt) : Date.now()) - Date.parse(startedAt));
}
