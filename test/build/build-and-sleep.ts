import { sourceThatRuns } from './sleeper.js';
import { BuildWorld } from './world.js';

/** Builds a source that sleeps for so many seconds; a process of its own, to be killed. */
const [model = '', seconds = ''] = process.argv.slice(2);
const world = await BuildWorld.open({ after: () => undefined });
const code = `import subprocess; subprocess.run(["sleep", "${seconds}"])`;
const build = await world.prepare({ files: await sourceThatRuns(code), model });
await build.run();
