// Tests that need a stack, in lanes side by side: each lane has a stack of its own and runs one file after the other,
// because a test may kill any part of its stack. Most of them wait most of the time.
import { randomInt } from 'node:crypto';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { root } from './bootstrap.mjs';
import { needsCluster, testSource } from './test-files.mjs';

const minute = 60_000;
const gibibyte = 2 ** 30;
const slipway = ['--enable-source-maps', 'dist/cli/main.js'];

/** Runs all files; every lane's stack is gone afterwards, whatever happens. */
export async function runInLanes(run, files) {
  const queue = [...files];
  /** The next file for a lane, none for others to wait for: what only a lane with a cluster can do comes first there. */
  const take = (cluster) => {
    const first = cluster ? queue.findIndex(needsCluster) : -1;
    const index = first >= 0 ? first : queue.findIndex((file) => cluster || !needsCluster(file));
    return index < 0 ? null : queue.splice(index, 1)[0];
  };
  // The first stack fetches and makes what all of them need.
  let ready = Promise.resolve();
  await Promise.all(
    lanesFor(files).map(async (lane) => {
      const before = ready;
      let isReady;
      ready = new Promise((resolve) => (isReady = resolve));
      await before;
      await runLane(run, lane, take, isReady);
    }),
  );
  // Where no stack came up.
  for (const file of queue) run.failures.push(`${testSource(root, file)}: not run`);
}

/** Lanes with and without a cluster, as many as there is work for and the machine can carry. */
function lanesFor(files) {
  const clustered = files.filter(needsCluster).length;
  const most = Math.max(
    1,
    Math.min(3, availableParallelism() * 2 - 1, Math.floor(totalmem() / (4 * gibibyte))),
  );
  // From 10100: fetch refuses 10080.
  const base = randomInt(1010, 1800) * 10;
  return [
    { needed: clustered > 0, cluster: true },
    { needed: clustered < files.length, cluster: false },
    { needed: clustered > 1, cluster: true },
  ]
    .filter(({ needed }) => needed)
    .slice(0, most)
    .map(({ cluster }, index) => ({
      cluster,
      name: `lane ${index + 1}`,
      home: `h${index + 1}`,
      portBase: base + index * 300,
    }));
}

async function runLane(run, { cluster, name, home: folder, portBase }, take, isReady) {
  const { findHome } = await import('../dist/infra/local/home.js');
  const { traces, leftovers } = await import('../dist/infra/local/leftovers.js');
  const home = join(run.folder, folder);
  // Away from the ports of a stack that somebody uses, and from those that systems give to clients.
  const env = {
    SLIPWAY_HOME: home,
    SLIPWAY_STACK: '',
    // A cluster of the user's is not for tests.
    KUBECONFIG: '',
    SLIPWAY_PORT_BASE: String(portBase),
  };
  const up = cluster ? ['up', '--kubernetes'] : ['up'];
  try {
    const isUp = await run.step(`${name}: slipway ${up.join(' ')}`, process.execPath, [...slipway, ...up], {
      env,
    });
    isReady();
    for (let file; isUp && !run.interrupted && (file = take(cluster));)
      await run.tests(`${name}: ${testSource(root, file)}`, [file], [`--test-timeout=${30 * minute}`], {
        env,
      });
  } finally {
    isReady();
    const before = await traces(findHome(home));
    const down = [...slipway, 'down', '--purge'];
    await run.step(`${name}: slipway down --purge`, process.execPath, down, {
      env,
      cleaning: true,
      whole: true,
    });
    const left = await leftovers(before);
    if (left.length > 0) run.failures.push(`nothing may be left behind, but: ${left.join(', ')}`);
  }
}
