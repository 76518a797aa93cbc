import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseDeployInput } from '../../contract/deploy.js';
import { digestOf } from '../../contract/names.js';
import type { ArtifactIndex } from '../../platform/archive/index.js';
import { bundleRoot, sourcePaths } from '../../platform/recipes/layout.js';
import { detectRecipe, parseSourceManifest, resolveSpec } from '../../platform/recipes/index.js';

const refused = (message: RegExp) => ({ name: 'SlipwayError', type: 'InvalidInput', message });

describe('a recipe is detected, and why is said', () => {
  const cases: [string, string[], string[], object, string, RegExp][] = [
    ['a model class', ['k8s_api_model.py'], ['w.bin'], {}, 'python-class', /"k8s_api_model\.py"/],
    ['a class as a package', ['k8s_api_model/__init__.py'], [], {}, 'python-class', /__init__/],
    [
      'a lone joblib file',
      ['requirements.txt'],
      ['deep/model.joblib', 'README'],
      {},
      'sklearn',
      /model\.joblib/,
    ],
    ['a named file among several', [], ['a.pkl', 'b.pkl'], { load: 'b.pkl' }, 'sklearn', /loads "b\.pkl"/],
    ['a safe file beside a pickle', [], ['a.pkl', 'b.skops'], {}, 'sklearn', /b\.skops/],
    ['a class that brings a pickle', ['k8s_api_model.py'], ['a.pkl'], {}, 'python-class', /k8s_api_model/],
    ['the one asked for', ['k8s_api_model.py'], ['a.pkl'], { recipe: 'sklearn' }, 'sklearn', /asked for/],
    ['auto', ['k8s_api_model.py'], [], { recipe: 'auto' }, 'python-class', /k8s_api_model/],
  ];
  for (const [what, source, weights, manifest, recipe, reason] of cases)
    test(what, () => {
      const detected = detectRecipe(source, weights, manifest);
      assert.equal(detected.recipe, recipe);
      assert.match(detected.reason, reason);
    });
});

describe('what fits no recipe, or several, is refused by what was found', () => {
  const cases: [string, string[], string[], object, RegExp][] = [
    ['nothing', ['main.py'], ['weights.bin'], {}, /no "k8s_api_model\.py".*no \.skops.*"weights\.bin"/],
    ['several pickles', [], ['a.pkl', 'b.joblib'], {}, /"a\.pkl", "b\.joblib"; name one as "load"/],
    [
      'a file that is not there',
      [],
      ['a.pkl'],
      { load: 'c.pkl' },
      /"c\.pkl", which is not in the weights \("a\.pkl"\)/,
    ],
    [
      'a class and a file to load',
      ['k8s_api_model.py'],
      ['a.pkl'],
      { load: 'a.pkl' },
      /"python-class"\), but .*"sklearn"\).*name one as "recipe"/,
    ],
    [
      'no class though asked for',
      ['main.py'],
      [],
      { recipe: 'python-class' },
      /asked for.*no "k8s_api_model\.py"/,
    ],
    ['another format', [], ['net.onnx'], { load: 'net.onnx' }, /no scikit-learn file/],
  ];
  for (const [what, source, weights, manifest, message] of cases)
    test(what, () => assert.throws(() => detectRecipe(source, weights, manifest), refused(message)));
});

describe('slipway.yaml', () => {
  test('that is not there or empty says nothing', () => {
    assert.deepEqual(parseSourceManifest(''), {});
    assert.deepEqual(parseSourceManifest('# only a comment\n'), {});
  });

  test('is refused with the file, and the line or field', () => {
    assert.throws(() => parseSourceManifest('recipe: [unclosed'), refused(/"slipway\.yaml".*line 1/));
    assert.throws(() => parseSourceManifest('recipy: sklearn'), refused(/"slipway\.yaml".*recipy/));
    assert.throws(() => parseSourceManifest('replicas: many'), refused(/replicas: /));
    assert.throws(() => parseSourceManifest('python: 3.11'), refused(/python: /));
    assert.throws(() => parseSourceManifest('- a list'), refused(/"slipway\.yaml"/));
    assert.throws(() => parseSourceManifest('a: 1\na: 2'), refused(/"slipway\.yaml"/));
    assert.throws(() => parseSourceManifest(bomb()), refused(/"slipway\.yaml"/));
  });

  test('gives way to the input and fills what the input leaves out', () => {
    const manifest = parseSourceManifest(
      'port: 9000\nreplicas: 3\nload: m.joblib\nresources: {cpu: 2}\nverify: {samples: [{input: 1, expect: 2}]}',
    );
    const spec = resolveSpec(parseDeployInput({ model: 'iris', replicas: 2 }), manifest, 'sklearn', []);
    assert.deepEqual([spec.port, spec.replicas, spec.load, spec.resources.cpu], [9000, 2, 'm.joblib', 2]);
    assert.equal(spec.verify.samples?.length, 1);
    const plain = resolveSpec(parseDeployInput({ model: 'iris' }), {}, 'sklearn', []);
    assert.deepEqual([plain.port, plain.replicas, plain.resources.memory], [8000, 1, '1Gi']);
  });

  test('keeps its samples when the input changes only a budget', () => {
    const manifest = parseSourceManifest('verify: {samples: [{input: 1, expect: 2}], latencyBudget: 5s}');
    const input = parseDeployInput({ model: 'iris', verify: { latencyBudget: '2s' } });
    const { verify } = resolveSpec(input, manifest, 'sklearn', []);
    assert.equal(verify.latencyBudget, '2s');
    assert.equal(verify.samples?.length, 1);
  });
});

describe('the time that a model gets to start', () => {
  const gib = 2 ** 30;
  const file = (size: number) => ({
    ...{
      path: `${size}.bin`,
      sha256: digestOf('a'.repeat(64)),
      size,
      offset: 0,
      packed: 1,
      method: 'stored' as const,
    },
  });
  const budget = (sizes: number[], verify?: object, manifest = '') =>
    resolveSpec(
      parseDeployInput({ model: 'iris', verify }),
      parseSourceManifest(manifest),
      'python-class',
      sizes.map(file),
    ).verify.startupBudget;

  test('grows with its weights', () => {
    assert.equal(budget([]), '5m');
    assert.equal(budget([2 * gib - 1]), '5m');
    assert.equal(budget([2 * gib - 1, 1]), '6m');
    // 70 billion parameters of two bytes.
    assert.equal(budget(Array<number>(30).fill(14e10 / 30)), '70m');
  });

  test('is what was asked for, by the input first', () => {
    const manifest = 'verify: {startupBudget: 30s, samples: [{input: 1}]}';
    assert.equal(budget([50 * gib], {}, manifest), '30s');
    assert.equal(budget([50 * gib], undefined, manifest), '30s');
    assert.equal(budget([50 * gib], { samples: [] }, manifest), '30s');
    assert.equal(budget([50 * gib], { startupBudget: '2m' }, manifest), '2m');
    assert.equal(budget([50 * gib], { samples: [] }), '30m');
  });
});

describe('the weights file that runs code when it is loaded is told', () => {
  const sha256 = digestOf('a'.repeat(64));
  const cases: [string, string[], object, 'sklearn' | 'python-class', string | undefined][] = [
    ['a lone pickle', ['README', 'a.pkl'], {}, 'sklearn', 'a.pkl'],
    ['a lone joblib file', ['deep/A.JOBLIB'], {}, 'sklearn', 'deep/A.JOBLIB'],
    ['the one to load', ['a.pkl', 'b.pkl'], { load: 'b.pkl' }, 'sklearn', 'b.pkl'],
    ['one to load under any name', ['model.bin'], { load: 'model.bin' }, 'sklearn', 'model.bin'],
    ['none beside a safe file', ['a.pkl', 'b.skops'], {}, 'sklearn', undefined],
    ['none where a safe file is to load', ['a.pkl', 'b.skops'], { load: 'b.skops' }, 'sklearn', undefined],
    ['none that code of the user loads', ['a.pkl'], {}, 'python-class', undefined],
  ];
  for (const [what, paths, manifest, recipe, path] of cases)
    test(what, () => {
      const weights = paths.map((path) => ({
        ...{ path, sha256, size: 1, offset: 0, packed: 1, method: 'stored' as const },
      }));
      const { pickle } = resolveSpec(parseDeployInput({ model: 'iris' }), manifest, recipe, weights);
      assert.deepEqual(pickle, path && { path, sha256 });
    });
});

describe('what is asked of a cluster', () => {
  const manifest = parseSourceManifest(
    'kubernetes: {spread: false, nodeSelector: {disk: ssd}, ingress: {host: iris.example}}',
  );
  const specOf = (kubernetes?: object, target: 'docker' | 'kubernetes' = 'kubernetes') =>
    resolveSpec(parseDeployInput({ model: 'iris', target, kubernetes }), manifest, 'sklearn', []).kubernetes;

  test('holds where the input leaves it at its default', () => {
    const spec = specOf({ namespace: 'team', nodeSelector: { disk: 'nvme' } });
    assert.equal(spec?.namespace, 'team');
    assert.deepEqual(spec?.nodeSelector, { disk: 'nvme' });
    assert.deepEqual([spec?.spread, spec?.ingress?.host], [false, 'iris.example']);
    assert.deepEqual(specOf()?.nodeSelector, { disk: 'ssd' });
  });

  test('means nothing on Docker', () => assert.equal(specOf(undefined, 'docker'), undefined));
});

describe('a folder around everything in a source bundle is taken off', () => {
  const cases: [string, string[], string][] = [
    ['one folder', ['iris/requirements.txt', 'iris/lib/a.py'], 'iris/'],
    ['one folder, with what archivers add', ['__MACOSX/iris/._a', 'iris/a.py', '.DS_Store'], 'iris/'],
    ['files at the top', ['a.py', 'lib/b.py'], ''],
    ['two folders', ['a/a.py', 'b/b.py'], ''],
    ['the model as a package', ['k8s_api_model/__init__.py', 'k8s_api_model/net.py'], ''],
    ['nothing', [], ''],
  ];
  for (const [what, paths, root] of cases) test(what, () => assert.equal(bundleRoot(paths), root));

  test('and the files are known by what is left of their paths', () => {
    const file = (path: string) => ({
      path,
      size: 1,
      sha256: digestOf('0'.repeat(64)),
      offset: 0,
      packed: 1,
      method: 'stored' as const,
    });
    const index: ArtifactIndex = {
      format: 1,
      digest: digestOf('0'.repeat(64)),
      files: ['iris/b.py', 'iris/a/c.py', '__MACOSX/iris/._b.py', 'iris/__pycache__/b.pyc'].map(file),
      layers: [],
    };
    assert.deepEqual([...sourcePaths(index).keys()], ['a/c.py', 'b.py']);
    assert.equal(sourcePaths(index).get('b.py')?.path, 'iris/b.py');
  });
});

/** Each line ten times the one before: more than memory holds, if it were ever made. */
function bomb(): string {
  const lines = ['a0: &a0 [x]'];
  for (let at = 1; at < 12; at++)
    lines.push(
      `a${at}: &a${at} [${Array(10)
        .fill(`*a${at - 1}`)
        .join(', ')}]`,
    );
  return lines.join('\n');
}
