import type { DeploymentStatus } from '../contract/deployment.js';
import { paint, plain } from './output.js';

/**
 * How a deployment ended, and beside it what serves now: two facts. `live` is null where nothing serves, undefined
 * where that could not be found out.
 */
export function describeEnd(status: DeploymentStatus, live: string | null | undefined): string[] {
  const { state, failure, service, release, image, undo, deployment } = status;
  const serves =
    live === undefined
      ? `what serves ${service} now could not be found out; try: slipway service status ${service}`
      : live === null
        ? `nothing serves ${service || 'this'} now`
        : `${service} serves ${live} now${live === release ? '' : ', as before'}`;
  if (state === 'succeeded')
    return [
      `${paint('green', 'succeeded')}: release ${release ?? ''}`,
      ...(image ? [`image ${image.repository}@${image.digest}`] : []),
      serves,
    ];
  const taken = undo.filter((step) => step.state === 'undone');
  const stuck = undo.filter((step) => step.state !== 'undone');
  return [
    `${paint('red', state)}${failure ? `: ${failure.type}: ${plain(failure.message)}` : ''}`,
    ...(failure ? evidence(failure.details) : []),
    ...(taken.length > 0 ? [`undone: ${taken.map(({ what }) => what).join(', ')}`] : []),
    ...stuck.map(({ what, error }) => `not undone: ${what}${error ? `: ${plain(error)}` : ''}`),
    ...(undo.length === 0 && state !== 'terminated' ? ['there was nothing to undo'] : []),
    serves,
    `build log, and what failed replicas said last: slipway logs ${deployment.workflowId}`,
  ];
}

/** The last lines that a failed build or container said, and samples that were answered otherwise than expected. */
function evidence(details: Record<string, unknown> = {}): string[] {
  const { logs, lines, samples } = details;
  const said = [logs, lines].flatMap((text) =>
    Array.isArray(text) ? text.map(String) : typeof text === 'string' ? text.trimEnd().split('\n') : [],
  );
  return [
    ...(Array.isArray(samples) ? samples.slice(0, 5).map(judged) : []),
    ...said
      .filter((line) => line !== '')
      .slice(-20)
      .map((line) => paint('dim', `  | ${plain(line)}`)),
  ];
}

function judged(sample: unknown): string {
  const { sample: number, expected, got } = sample as { sample?: number; expected?: unknown; got?: unknown };
  return `  sample ${number ?? ''}: expected ${shown(expected)}, got ${shown(got)}`;
}

const shown = (value: unknown): string =>
  value === undefined ? 'no answer' : plain(JSON.stringify(value)).slice(0, 200);
