import type { Recipe } from './recipe.js';

const modules = ['k8s_api_model.py', 'k8s_api_model/__init__.py'];

/** A class `k8s_api_model` in a module of the same name, which loads and predicts as it sees fit. */
export const pythonClass: Recipe = {
  name: 'python-class',
  version: 1,
  requirements: null,

  // Its code is the user's own already, and loads what it likes.
  pickle: () => null,

  evidence({ source }) {
    const module = modules.find((path) => source.includes(path));
    return module ? `the source has "${module}"` : null;
  },

  problem(found) {
    return this.evidence(found) ? null : 'the source has no "k8s_api_model.py" at its top';
  },
};
