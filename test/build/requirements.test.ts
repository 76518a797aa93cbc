import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { requirementsOf } from '../../platform/images/build/requirements.js';

describe('requirements are installed before the source is there', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'slipway-requirements-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  async function source(files: Record<string, string>): Promise<Map<string, string>> {
    const paths = new Map<string, string>();
    for (const [path, content] of Object.entries(files)) {
      const file = join(folder, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content);
      paths.set(path, file);
    }
    return paths;
  }

  test('with the lists and packages they refer to, and nothing else of the source', async () => {
    const files = await source({
      'requirements.txt': [
        'numpy==2.0 ; python_version > "3.8"',
        '-r more/base.txt  # comment',
        '--constraint=limits.txt',
        './wheels/own-1.0-py3-none-any.whl',
        'other-2.0.tar.gz',
        'remote @ https://example.com/remote-1.0.whl',
        'https://example.com/other-1.0.tar.gz',
        '--extra-index-url https://example.com/simple',
        '# ./commented.whl',
      ].join('\n'),
      'more/base.txt': '-r deeper.txt\nscipy\n',
      'more/deeper.txt': '-r base.txt\n',
      'limits.txt': 'scipy<2\n',
      'wheels/own-1.0-py3-none-any.whl': 'x',
      'other-2.0.tar.gz': 'x',
      'model.py': 'x',
    });
    const found = await requirementsOf('python-class', files);
    assert.deepEqual([...found!.keys()].sort(), [
      'limits.txt',
      'more/base.txt',
      'more/deeper.txt',
      'other-2.0.tar.gz',
      'requirements.txt',
      'wheels/own-1.0-py3-none-any.whl',
    ]);
  });

  test('or refused with the line that refers to what is not there', async () => {
    for (const [line, message] of [
      ['-r gone.txt', /"requirements\.txt" line 2, "-r gone\.txt": the source has no file "gone\.txt"/],
      ['./gone.whl', /no file "gone\.whl"/],
      ['-r ../../etc/passwd', /no file "\.\.\/\.\.\/etc\/passwd"/],
      ['-r /etc/passwd', /no file/],
      ['-e .', /editable/],
    ] as const)
      await assert.rejects(
        requirementsOf('sklearn', await source({ 'requirements.txt': `six\n${line}\n` })),
        {
          type: 'InvalidInput',
          message,
        },
      );
  });

  test('or come with the recipe', async () => {
    const list = (await requirementsOf('sklearn', new Map()))!.get('requirements.txt');
    assert.ok(list && 'content' in list);
    assert.match(list.content.toString(), /^scikit-learn==/m);
    assert.equal(await requirementsOf('python-class', new Map()), null);
  });
});
