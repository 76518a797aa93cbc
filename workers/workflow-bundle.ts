import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

const compiled = dirname(dirname(fileURLToPath(import.meta.url)));
const lockFile = join(compiled, '..', 'node_modules', '.package-lock.json');

/** Makes failures such that nothing of them stays in clear where payloads are encrypted. */
export const failureConverterPath = join(compiled, 'workflows', 'failure-converter.cjs');

/**
 * Path of the bundled workflow code. Bundling takes seconds, so it is done once per content of `workflows/`,
 * `contract/` and the installed packages, and kept beside the compiled code. `encrypting` is how failures are made:
 * that is in the code.
 */
export async function workflowBundle({ encrypting = false } = {}): Promise<{ codePath: string }> {
  const name = `workflow-bundle-${await contentKey()}${encrypting ? '-encrypting' : ''}.js`;
  const codePath = join(compiled, name);
  if (!existsSync(codePath)) {
    const { code } = await bundleWorkflowCode({
      workflowsPath: join(compiled, 'workflows', 'index.js'),
      ...(encrypting && { failureConverterPath }),
    });
    // Several workers may start at once: a bundle is there whole or not at all.
    const partial = `${codePath}.${randomUUID()}`;
    await writeFile(partial, code);
    await rename(partial, codePath);
  }
  return { codePath };
}

async function contentKey(): Promise<string> {
  const hash = createHash('sha256');
  for (const folder of ['contract', 'workflows']) {
    const files = (await readdir(join(compiled, folder))).filter((name) => /\.c?js$/.test(name)).sort();
    for (const name of files) hash.update(name).update(await readFile(join(compiled, folder, name)));
  }
  if (existsSync(lockFile)) hash.update(await readFile(lockFile));
  return hash.digest('hex').slice(0, 16);
}
