import { sleepFor, sourceThatRuns } from './sleeper.js';
import { BuildWorld } from './world.js';

/** Builds a source that sleeps for so many seconds; a process of its own, to be killed. */
const [model = '', seconds = ''] = process.argv.slice(2);
const world = await BuildWorld.open({ after: () => undefined });
const build = await world.prepare({ files: await sourceThatRuns(sleepFor(seconds)), model });
await build.run();
