// `npm run demo`: from a fresh clone to a prediction. The stack stays up; `npm run down` ends it.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './bootstrap.mjs';

run('bin/slipway.mjs', 'up');
run('dist/cli/demo.js');

function run(script, ...args) {
  const { status, signal, error } = spawnSync(
    process.execPath,
    ['--enable-source-maps', join(root, script), ...args],
    {
      stdio: 'inherit',
    },
  );
  if (error) throw error;
  if (status !== 0) process.exit(signal ? 130 : (status ?? 1));
}
