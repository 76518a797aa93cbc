import type { Found, Recipe } from './recipe.js';

const pickles = /\.(?:pkl|joblib)$/i;
const safe = /\.skops$/i;
/** Formats that are recognised, but that scikit-learn does not load. */
const foreign = /\.(?:onnx|safetensors)$/i;

/** A scikit-learn estimator, from the only file that holds one or the one that `slipway.yaml` names. */
export const sklearn: Recipe = {
  name: 'sklearn',
  version: 1,
  requirements: 'requirements-sklearn.txt',

  evidence({ weights, manifest }) {
    if (manifest.load !== undefined) return `slipway.yaml loads "${manifest.load}"`;
    const files = [
      ...weights.filter((path) => safe.test(path)),
      ...weights.filter((path) => pickles.test(path)),
    ];
    return files.length > 0 ? `the weights hold ${quoted(files)}` : null;
  },

  problem({ weights, manifest }) {
    if (manifest.load !== undefined) {
      if (!weights.includes(manifest.load))
        return `slipway.yaml loads "${manifest.load}", which is not in the weights (${quoted(weights)})`;
      return foreign.test(manifest.load)
        ? `"${manifest.load}" is no scikit-learn file; load it in a "python-class" model`
        : null;
    }
    const files = candidates(weights);
    if (files.length === 1) return null;
    return files.length > 1
      ? `the weights hold ${quoted(files)}; name one as "load" in slipway.yaml`
      : `the weights hold no .skops, .joblib or .pkl file (${quoted(weights)})`;
  },

  pickle({ weights, manifest }) {
    const file = manifest.load ?? candidates(weights)[0];
    // Whatever its name is: the loader takes everything that is not in a safe format for a pickle.
    return file === undefined || safe.test(file) ? null : file;
  },
};

/** Files that the loader in the image chooses from: the safe ones, else the pickles. */
function candidates(weights: Found['weights']): string[] {
  const [safest = []] = [safe, pickles]
    .map((pattern) => weights.filter((path) => pattern.test(path)))
    .filter((files) => files.length > 0);
  return safest;
}

function quoted(paths: readonly string[]): string {
  const shown = paths.slice(0, 5).map((path) => `"${path}"`);
  return paths.length === 0
    ? 'nothing'
    : shown.join(', ') + (paths.length > 5 ? ` and ${paths.length - 5} more` : '');
}
