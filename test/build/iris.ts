import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SlipwayError } from '../../contract/errors.js';
import type { ImageRef } from '../../contract/names.js';
import { examplesFolder } from '../support/models.js';
import type { BuildWorld } from './world.js';

/**
 * The source image of the scikit-learn example, which pip takes long to install: built for the first test that asks,
 * found in the registry for the next.
 */
export async function irisImage(world: BuildWorld): Promise<ImageRef> {
  const file = (name: string): Promise<Buffer> => readFile(join(examplesFolder(), 'iris/source', name));
  const build = await world.prepare({
    model: 'iris-of-builds',
    service: `iris-${randomBytes(4).toString('hex')}`,
    files: {
      'requirements.txt': await file('requirements.txt'),
      'slipway.yaml': await file('slipway.yaml'),
    },
    weights: ['model.joblib'],
  });
  return await build.run().catch((error: unknown) => {
    // Built elsewhere at the same time: what the shared name makes fail is a passing fault.
    assert.ok(!(error instanceof SlipwayError), String(error));
    return build.run();
  });
}
