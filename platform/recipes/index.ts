import { isDeepStrictEqual } from 'node:util';
import type { DeployInput, ServeSpec, SourceManifest } from '../../contract/deploy.js';
import { Resources, Verify } from '../../contract/deploy.js';
import { SlipwayError } from '../../contract/errors.js';
import { KubernetesSpec } from '../../contract/kubernetes.js';
import type { IndexedFile } from '../archive/index.js';
import { pythonClass } from './python-class.js';
import type { Found, Recipe } from './recipe.js';
import { sklearn } from './sklearn.js';

export { parseSourceManifest } from './manifest.js';

/** Every recipe; where the files speak for several, the first that needs code of the user's wins. */
const recipes: Record<ServeSpec['recipe'], Recipe> = { 'python-class': pythonClass, sklearn };

/** The recipe of this name. */
export const recipeNamed = (name: ServeSpec['recipe']): Recipe => recipes[name];

/**
 * The recipe that `slipway.yaml` names, else the one the files speak for, and why it was taken. `source` are
 * paths as {@link sourcePaths} gives them. Throws `InvalidInput` naming what was found when none or several fit,
 * or when the one asked for cannot work with these files.
 */
export function detectRecipe(
  source: readonly string[],
  weights: readonly string[],
  manifest: SourceManifest,
): { recipe: ServeSpec['recipe']; reason: string } {
  const found: Found = { source, weights, manifest };
  const { recipe, reason } =
    manifest.recipe && manifest.recipe !== 'auto'
      ? { recipe: recipes[manifest.recipe], reason: 'asked for' }
      : detect(found);
  const problem = recipe.problem(found);
  if (problem)
    throw new SlipwayError('InvalidInput', `choosing recipe "${recipe.name}" (${reason}): ${problem}`);
  return { recipe: recipe.name, reason };
}

function detect(found: Found): { recipe: Recipe; reason: string } {
  const evidence = Object.values(recipes).flatMap((recipe) => {
    const reason = recipe.evidence(found);
    return reason === null ? [] : [{ recipe, reason }];
  });
  // A model class usually comes with pickled weights that it loads itself; only "load" says otherwise.
  const [first, second] = evidence;
  if (!first)
    throw new SlipwayError(
      'InvalidInput',
      `choosing a recipe: ${Object.values(recipes)
        .map((recipe) => recipe.problem(found) ?? '')
        .join('; ')}`,
    );
  if (second && found.manifest.load !== undefined)
    throw new SlipwayError(
      'InvalidInput',
      `choosing a recipe: ${evidence.map(({ recipe, reason }) => `${reason} ("${recipe.name}")`).join(', but ')}; name one as "recipe" in slipway.yaml`,
    );
  return first;
}

/**
 * What replicas run with: the deployment's input wins, then `slipway.yaml`, then 1 replica on port 8000, and what
 * follows from the weights.
 */
export function resolveSpec(
  input: DeployInput,
  manifest: SourceManifest,
  recipe: ServeSpec['recipe'],
  weights: readonly IndexedFile[],
): ServeSpec {
  const pickle = recipes[recipe].pickle({ weights: weights.map(({ path }) => path), manifest });
  const pickled = weights.find(({ path }) => path === pickle);
  return {
    recipe,
    replicas: input.replicas ?? manifest.replicas ?? 1,
    port: input.port ?? manifest.port ?? 8000,
    resources: input.resources ?? manifest.resources ?? Resources.parse({}),
    verify: mergeVerify(input, manifest, weights),
    ...(manifest.load === undefined ? {} : { load: manifest.load }),
    ...(pickled && { pickle: { path: pickled.path, sha256: pickled.sha256 } }),
    ...mergeKubernetes(input, manifest),
  };
}

/**
 * What `slipway.yaml` asks of a cluster holds where the input leaves it at its default; it means nothing elsewhere, as a
 * source may be deployed to several targets.
 */
function mergeKubernetes(
  { target, kubernetes = defaults }: DeployInput,
  manifest: SourceManifest,
): { kubernetes?: KubernetesSpec } {
  if (target !== 'kubernetes') return {};
  const given = Object.entries(kubernetes).filter(
    ([field, value]) => !isDeepStrictEqual(value, defaults[field as keyof KubernetesSpec]),
  );
  return { kubernetes: { ...(manifest.kubernetes ?? defaults), ...Object.fromEntries(given) } };
}

const defaults = KubernetesSpec.parse({});

/**
 * An input that only changes a budget does not do without the samples that the source comes with, nor one that only
 * brings samples without the time that it asks for to start.
 */
function mergeVerify(
  input: DeployInput,
  manifest: SourceManifest,
  weights: readonly IndexedFile[],
): ServeSpec['verify'] {
  const verify = input.verify ?? manifest.verify ?? Verify.parse({});
  const samples = verify.samples ?? manifest.verify?.samples;
  const startupBudget = verify.startupBudget ?? manifest.verify?.startupBudget ?? budgetFor(weights);
  return { ...verify, startupBudget, ...(samples && { samples }) };
}

/** Minutes that every model gets to start, and the bytes of weights that each further minute is for: 36 MB a second. */
const startup = { minutes: 5, bytesPerMinute: 2 * 2 ** 30 };

function budgetFor(weights: readonly IndexedFile[]): string {
  const bytes = weights.reduce((sum, { size }) => sum + size, 0);
  return `${startup.minutes + Math.floor(bytes / startup.bytesPerMinute)}m`;
}
