import { z } from 'zod';
import { SlipwayError } from './errors.js';
import { KubernetesSpec } from './kubernetes.js';
import { Digest, Name, ReleaseId, WeightsDate } from './names.js';
import { Duration, milliseconds, Quantity } from './quantities.js';
import { Strategy } from './strategy.js';

/** One request the candidate must answer before it gets traffic. */
export const Sample = z.strictObject({
  input: z.unknown(),
  /** Compared with the prediction, element by element; left out: any answer within the budget passes. */
  expect: z.unknown().optional(),
  /** Largest absolute difference allowed between two numbers. */
  tolerance: z.number().nonnegative().default(0),
});
export type Sample = z.infer<typeof Sample>;

export const Verify = z.strictObject({
  samples: z.array(Sample).max(100).optional(),
  /** Longest a single sample may take. */
  latencyBudget: Duration.default('1s'),
  /** Longest from container start to the first ready answer; left out: by the size of the weights. */
  startupBudget: Duration.optional(),
  /** Check that a changed source loads with the live weights; `false` when both change together incompatibly. */
  sourceCheck: z.boolean().default(true),
});

export const Resources = z.strictObject({
  /** CPU cores; fractions allowed. */
  cpu: z.number().positive().max(256).default(1),
  memory: Quantity.default('1Gi'),
});

/** Where a service runs. */
export const TargetKind = z.enum(['docker', 'kubernetes']);
export type TargetKind = z.infer<typeof TargetKind>;

export const Recipe = z.enum(['auto', 'sklearn', 'python-class']);
export type Recipe = z.infer<typeof Recipe>;

/** Fields that a `slipway.yaml` in the source bundle may carry too; the input wins. */
const shared = {
  recipe: Recipe,
  resources: Resources,
  verify: Verify,
  /** Port the container listens on. */
  port: z.number().int().min(1).max(65_535),
  replicas: z.number().int().min(1).max(1_000),
  kubernetes: KubernetesSpec,
};

/** `slipway.yaml` in the source bundle. */
export const SourceManifest = z
  .strictObject({
    ...shared,
    /** File under the weights to load, when several would do. */
    load: z.string().min(1),
    /** Python minor version the source needs, e.g. `"3.11"`. */
    python: z.string().regex(/^3\.\d{1,2}$/, 'must be a Python version such as "3.11"'),
  })
  .partial();
export type SourceManifest = z.infer<typeof SourceManifest>;

/** What `deployModel` is started with. Everything but `model` may be left out. */
export const DeployInput = z
  .strictObject({
    model: Name,
    /** Name the model is served under; default: the model's name. */
    service: Name.optional(),
    weights: z.union([z.literal('latest'), WeightsDate]).default('latest'),
    source: z.literal('latest').default('latest'),
    recipe: shared.recipe.optional(),
    target: TargetKind.default('docker'),
    replicas: shared.replicas.optional(),
    port: shared.port.optional(),
    resources: shared.resources.optional(),
    kubernetes: shared.kubernetes.optional(),
    strategy: Strategy.prefault({ kind: 'rolling' }),
    verify: shared.verify.optional(),
    approval: z
      .strictObject({ required: z.boolean().default(false), deadline: Duration.default('24h') })
      .default({ required: false, deadline: '24h' }),
    /** Longest the whole deployment may take, waiting for approval not counted. */
    deadline: Duration.default('4h'),
    onConflict: z.enum(['fail', 'wait', 'supersede']).default('fail'),
    onFailure: z.literal('rollback').default('rollback'),
    /** Deploy this earlier verified release again, as it was: no download, no build, no push. */
    rollbackTo: z.union([z.literal('previous'), ReleaseId]).optional(),
  })
  .superRefine(refuseForeign)
  .superRefine(refuseTooLong);
export type DeployInput = z.infer<typeof DeployInput>;
/** The same before defaults are filled in. */
export type DeployRequest = z.input<typeof DeployInput>;

/** What a replica runs with, once the input, `slipway.yaml` and the defaults are merged. */
export const ServeSpec = z.object({
  recipe: Recipe.exclude(['auto']),
  replicas: z.number().int(),
  port: z.number().int(),
  resources: Resources,
  verify: Verify.extend({ startupBudget: Duration }),
  load: z.string().optional(),
  /** The weights file that replicas load although it runs the code it holds; left out: they load none. */
  pickle: z.object({ path: z.string(), sha256: Digest }).optional(),
  kubernetes: KubernetesSpec.optional(),
});
export type ServeSpec = z.infer<typeof ServeSpec>;

function refuseForeign(
  { target, kubernetes }: { target: TargetKind; kubernetes?: unknown },
  context: z.RefinementCtx,
): void {
  if (kubernetes === undefined || target === 'kubernetes') return;
  context.addIssue({
    code: 'custom',
    path: ['kubernetes'],
    message: `belongs to deployments with "target": "kubernetes", not "${target}"`,
  });
}

/** A canary that its deadline is bound to end is refused at once, not after hours. */
function refuseTooLong(
  { strategy, deadline, rollbackTo }: { strategy: Strategy; deadline: string; rollbackTo?: unknown },
  context: z.RefinementCtx,
): void {
  if (strategy.kind !== 'canary' || rollbackTo !== undefined) return;
  const lasting = strategy.steps.flatMap((step) => (step.for === undefined ? [] : [step.for]));
  // Called for durations that are none as well; those are refused elsewhere.
  if (![deadline, ...lasting].every((time) => Duration.safeParse(time).success)) return;
  if (lasting.reduce((sum, time) => sum + milliseconds(time), 0) < milliseconds(deadline)) return;
  context.addIssue({
    code: 'custom',
    path: ['deadline'],
    message: `${deadline} is no longer than what the steps of the canary take: ${lasting.join(' + ')}`,
  });
}

/**
 * Parses a deployment's input. Throws `InvalidInput` naming every field that is wrong.
 */
export function parseDeployInput(input: unknown): DeployInput & { service: string } {
  const result = DeployInput.safeParse(input);
  if (!result.success)
    throw new SlipwayError('InvalidInput', `deployment input: ${describeIssues(result.error)}`, {
      issues: result.error.issues.map(({ path, message }) => ({ field: path.join('.'), message })),
    });
  return { ...result.data, service: result.data.service ?? result.data.model };
}

/** `replicas: must be …; verify.latencyBudget: must be …` */
export function describeIssues(error: z.ZodError): string {
  return error.issues
    .map(({ path, message }) => (path.length > 0 ? `${path.join('.')}: ${message}` : message))
    .join('; ');
}
